"""The page in a few words and numbers."""

from collections.abc import Iterator

from gtn_hpc.report.blocks import Block, Missing, Prose, Tiles
from gtn_hpc.report.evidence import Evidence
from gtn_hpc.report.frames import teaching
from gtn_hpc.report.sections import teacher, trust
from gtn_hpc.report.wording import count, percent, points, rank

Tile = tuple[str, str, str]


def summary(evidence: Evidence) -> Iterator[Block]:
    """Key numbers, and what they mean."""
    tiles = [*_teacher(evidence), *_trust(evidence), *_search(evidence), *_final(evidence)]
    if not tiles:
        first = "gtn train RUN" if evidence.own else "gtn search RUN"
        yield Missing("Nothing was measured yet", evidence.command(first))
        return
    yield Tiles(tiles)
    if evidence.lessons is not None and "teacher" in evidence.lessons.accuracy:
        yield Prose(teacher.in_words(evidence.lessons))
    if len(evidence.pairs):
        yield Prose(f"{trust.in_words(evidence.correlations)} {trust.beside_others(evidence.rivals)}")


def _teacher(evidence: Evidence) -> Iterator[Tile]:
    lessons = evidence.lessons
    if lessons is None or "teacher" not in lessons.accuracy:
        return
    found, ahead = teaching.accuracy_at_end(lessons), teaching.advantage(lessons)
    yield "Taught learners", percent(found.value), f"after {lessons.steps} steps, {found.n} learners"
    if ahead is not None:
        yield "Ahead of real data", points(ahead.value), f"points, 95 % [{points(ahead.low)}, {points(ahead.high)}]"


def _trust(evidence: Evidence) -> Iterator[Tile]:
    if evidence.pairs.empty:
        return
    found, _ = trust.main_result(evidence.correlations)
    value = rank(found["value"], found["low"], found["high"])
    yield "Spearman with truth", value.partition(" ")[0], f"{value.partition(' ')[2]}, {found['n']} architectures"


def _search(evidence: Evidence) -> Iterator[Tile]:
    if evidence.tables is None:
        return
    tried = evidence.tables.scores["arch"].nunique()
    yield "Architectures scored", count(tried), f"space {evidence.config.search.space.name}"


def _final(evidence: Evidence) -> Iterator[Tile]:
    rows = None if evidence.tables is None else evidence.tables.final
    if rows is None or not (rows["status"] == "ok").any():
        return
    winner = rows[rows["status"] == "ok"].sort_values("val_accuracy").iloc[-1]
    yield "Winner on the test split", percent(winner["test_accuracy"], 2), f"{count(winner['params'])} parameters"
