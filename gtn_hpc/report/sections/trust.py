"""Whether the teacher's estimates may be believed: the certificate."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from gtn_hpc.report import figures
from gtn_hpc.report.blocks import Block, Missing, Prose, Table, figure
from gtn_hpc.report.evidence import Evidence
from gtn_hpc.report.frames import records
from gtn_hpc.report.sections.search import unscored
from gtn_hpc.report.wording import plural, rank
from gtn_hpc.stats.correlation import FEW


def certified(evidence: Evidence) -> Iterator[Block]:
    """Scatter, correlations with intervals, and the teacher beside other ways to rank."""
    if evidence.estimates.empty:
        yield unscored(evidence)
    elif evidence.pairs.empty:
        yield _unpaired(evidence)
    else:
        yield from _certificate(evidence)


def _unpaired(evidence: Evidence) -> Block:
    """Why no architecture has an estimate and a truth."""
    assert evidence.tables is not None
    rows = evidence.tables.certificate
    trained = rows.loc[rows["source"] == "truth", "arch"].nunique()
    if trained:
        both = f"None of {plural(trained, 'architecture')} trained on real data has both an estimate and a truth"
        return Prose(f"{both}: see Failures.")
    return Missing(
        "No architecture was trained on real data as well",
        evidence.command("gtn search RUN search.certificate.fraction=0.25"),
    )


def main_result(found: pd.DataFrame) -> tuple[dict[str, Any], ...]:
    """Spearman and Kendall over all architectures."""
    return tuple(records(found[found["subset"] == "all"]))


def in_words(found: pd.DataFrame) -> str:
    spearman, kendall = main_result(found)
    if pd.isna(spearman["value"]):
        return f"The estimates cannot be compared with the truth: {spearman['note']}."
    number, low, high = int(spearman["n"]), spearman["low"], spearman["high"]
    return (
        f"Over {plural(number, 'architecture')} trained both ways, Spearman's rank correlation of estimate "
        f"and truth is {rank(spearman['value'], low, high)}, "
        f"Kendall's {rank(kendall['value'], kendall['low'], kendall['high'])}. {_verdict(number, low, high)}"
    )


def _verdict(number: int, low: float, high: float) -> str:
    if pd.isna(low):
        return "There is no interval, so nothing says that this is more than chance."
    if number < FEW:
        return f"{plural(number, 'architecture')} are too few to tell whether the ranking is more than chance."
    if low == high:
        return "The interval has no width, so it does not tell whether the ranking is more than chance."
    if low > 0:
        return "The ranking carries information: the interval lies above zero."
    if high < 0:
        return "The ranking is the wrong way round: the interval lies below zero."
    return "The interval holds zero: on this evidence the ranking may be chance."


def beside_others(others: pd.DataFrame) -> str:
    """Whether the teacher ranks better than what costs nothing, above all the number of parameters."""
    return " ".join(_beside(row) for row in records(others.dropna(subset=["value", "ahead"])))


def _beside(row: dict[str, Any]) -> str:
    low, high = row["ahead_low"], row["ahead_high"]
    ahead, ranking = rank(row["ahead"], low, high), f"Ranking by {row['name']} gives {_rank(row)}"
    if row["n"] < FEW:
        return f"{ranking}; {row['n']} are too few to tell whether the teacher is ahead ({ahead})."
    verdict = "ahead" if 0 < low < high else "behind" if low < high < 0 else "not certainly ahead or behind"
    return f"{ranking}; beside it the teacher is {verdict} ({ahead})."


def _certificate(evidence: Evidence) -> Iterator[Block]:
    pairs, found, others = evidence.pairs, evidence.correlations, evidence.rivals
    yield figure(
        figures.correlation(pairs),
        f"Accuracy after the curriculum against accuracy after {evidence.config.search.certificate.steps} steps of "
        "real data. Point at an architecture to see it drawn.",
        f"Scatter of {len(pairs)} architectures. {in_words(found)}",
        half=True,
    )
    yield figure(
        figures.correlations(_named(found, others)),
        "Rank correlation with the truth: the teacher, and other ways to rank the same architectures.",
        "The numbers are in the tables below.",
        half=True,
    )
    yield from _tables(found, others)
    notes = dict.fromkeys(f"{row['subset'].capitalize()}: {row['note']}." for row in records(found) if row["note"])
    yield from (Prose(note) for note in notes)


def _named(found: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """One row a dot of the figure; what has no value is left out."""
    teacher = found.assign(name="teacher, " + found["subset"])
    return pd.concat([teacher, others.assign(statistic="Spearman")]).dropna(subset=["value"])


def _tables(found: pd.DataFrame, others: pd.DataFrame) -> Iterator[Block]:
    yield Table(
        "Rank correlation of estimate and truth with bootstrap 95 % intervals",
        ("architectures", "number", "Spearman", "Kendall"),
        [_row(str(subset), records(rows)) for subset, rows in found.groupby("subset", sort=False)],
    )
    yield Table(
        "Other ways to rank the same architectures (Spearman), and how far the teacher is ahead",
        ("ranked by", "number", "Spearman", "teacher ahead by"),
        [
            (row["name"], str(row["n"]), _rank(row), rank(row["ahead"], row["ahead_low"], row["ahead_high"]))
            for row in records(others)
        ],
    )


def _row(subset: str, found: list[dict[str, Any]]) -> tuple[str, ...]:
    return (subset, str(found[0]["n"]), *map(_rank, found))


def _rank(row: dict[str, Any]) -> str:
    return rank(row["value"], row["low"], row["high"])
