"""Every figure as a function from a DataFrame to a chart; `report.frames` makes the DataFrames."""

from gtn_hpc.report.figures.comparing import arms, transfer
from gtn_hpc.report.figures.cost import LINES, failures, utilisation
from gtn_hpc.report.figures.equivalence import Swept, equivalence
from gtn_hpc.report.figures.playing import meta_returns
from gtn_hpc.report.figures.ranking import correlation, correlations
from gtn_hpc.report.figures.scaling import scaling
from gtn_hpc.report.figures.searching import comparison, pareto, progress, training_curves
from gtn_hpc.report.figures.style import PALETTE, save
from gtn_hpc.report.figures.table1 import table1
from gtn_hpc.report.figures.teaching import learning_curves, meta_accuracy, meta_loss

__all__ = [
    "LINES",
    "PALETTE",
    "Swept",
    "arms",
    "comparison",
    "correlation",
    "correlations",
    "equivalence",
    "failures",
    "learning_curves",
    "meta_accuracy",
    "meta_loss",
    "meta_returns",
    "pareto",
    "progress",
    "save",
    "scaling",
    "table1",
    "training_curves",
    "transfer",
    "utilisation",
]
