"""Rows of the paper's table of searches on CIFAR-10 (Such et al. 2020), quoted and not checked against the print."""

import numpy as np
import pandas as pd

HOURS = 24.0

ROWS = [
    # method, F, test error, its standard deviation, GPU-days of searching
    ("random search + GTN + cutout", 32, 0.0292, 0.0006, 0.67),
    ("random search + GTN + cutout", 128, 0.0242, 0.0003, 0.67),
    ("random search, real data", np.nan, np.nan, np.nan, 10.0),
]


def published() -> pd.DataFrame:
    """With the columns of `table1`; what is not known is empty."""
    names = ["method", "filters", "error", "sd", "searching_hours"]
    frame = pd.DataFrame(ROWS, columns=names)
    told = {"source": "published", "space": "nao_cell", "data": "cifar10", "unit": "GPU", "device": "NVIDIA V100"}
    return frame.assign(searching_hours=frame["searching_hours"] * HOURS, **told)
