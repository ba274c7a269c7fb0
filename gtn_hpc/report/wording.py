"""Numbers as people read them."""

import math

import pandas as pd

from gtn_hpc.stats import Estimate

NONE = "\N{EN DASH}"
THIN = "\N{NARROW NO-BREAK SPACE}"


def percent(value: float, digits: int = 1) -> str:
    """A fraction as 98.7 %; a dash where there is none."""
    return NONE if pd.isna(value) else f"{100 * value:.{digits}f}{THIN}%"


def points(value: float) -> str:
    """A difference of accuracies in percentage points, with its sign."""
    return NONE if pd.isna(value) else f"{100 * value:+.1f}"


def rank(value: float, low: float, high: float) -> str:
    """A rank correlation and its interval, where it has one."""
    return NONE if math.isnan(value) else f"{value:.2f}" + ("" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]")


def percent_interval(found: Estimate) -> str:
    """A fraction and its interval in percent, where it has one."""
    between = "" if math.isnan(found.low) else f" [{100 * found.low:.1f}, {100 * found.high:.1f}]"
    return percent(found.value) + between


def count(value: float) -> str:
    """A whole number, its thousands set apart."""
    return f"{int(value):,}".replace(",", THIN)


def short(value: float) -> str:
    """Three digits and a unit: 1.25 k, 3.40 M."""
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{THIN}{unit}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """12.3 s, 4 min 05 s or 6 h 07 min; a dash where it is not known."""
    if pd.isna(seconds):
        return NONE
    if seconds < 60:
        return f"{seconds:.3g}{THIN}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def plural(number: int, one: str) -> str:
    """The number and what is counted: 1 step, 2 steps."""
    return f"{count(number)} {one if number == 1 else one + 's'}"
