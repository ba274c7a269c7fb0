"""`gtn doctor`: one small check for each thing that has to work; each says what it found, and the remedy."""

from gtn_hpc.launch.doctor.examination import Report, examine
from gtn_hpc.launch.doctor.finding import Finding

__all__ = ["Finding", "Report", "examine"]
