"""The report: every figure (`report.figures`), and one self-contained HTML page of one or several runs. No torch."""
