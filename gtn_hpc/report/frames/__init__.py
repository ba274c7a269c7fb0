"""From files to the DataFrames that figures and tables show."""

from typing import Any

import pandas as pd


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, each by column; for tables of a few rows."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
