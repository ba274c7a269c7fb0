"""The page as text: what it says, what it leaves out, how large it is."""

import html
import json
import re
from dataclasses import replace

import pytest
from report_runs import Sizes, configured, whole_run, write_curriculum

from gtn_hpc import stats
from gtn_hpc.config.claim import claim
from gtn_hpc.core.errors import StorageError, UsageError
from gtn_hpc.core.events import EventLog
from gtn_hpc.report import figures
from gtn_hpc.report.blocks import Prose
from gtn_hpc.report.evidence import gather
from gtn_hpc.report.frames import ranking
from gtn_hpc.report.page import write
from gtn_hpc.report.sections import cost, search, teacher
from gtn_hpc.report.wording import duration, percent, points, rank, short


@pytest.fixture(scope="module")
def page(reported):
    return reported.read_text()


def text_of(page):
    """What is read, without scripts and tags; every space an ordinary one."""
    body = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def test_its_statistics_are_those_of_stats(finished, page):
    pairs = gather(finished).pairs.sort_values("arch")
    rng = ranking.generator(0)
    spearman = stats.spearman(pairs["estimate"], pairs["truth"], rng=rng)
    kendall = stats.kendall(pairs["estimate"], pairs["truth"], rng=rng)
    text = text_of(page)
    assert f"is {rank(spearman.value, spearman.low, spearman.high)}, Kendall's" in text
    assert f"Kendall's {rank(kendall.value, kendall.low, kendall.high)}" in text
    ahead = stats.spearman_difference(pairs["estimate"], pairs["params"], pairs["truth"], rng=ranking.generator(0))
    assert f"the teacher is ahead ({rank(ahead.value, ahead.low, ahead.high)})" in text
    accuracy = gather(finished).lessons.accuracy
    ahead = stats.paired_difference(accuracy["teacher"][:, -1], accuracy["real data"][:, -1])
    assert f"{points(ahead.value)} points [{points(ahead.low)}, {points(ahead.high)}]" in text
    assert " ".join(percent(stats.mean(accuracy["teacher"][:, -1]).value).split()) in text


def test_it_names_where_everything_comes_from(finished, page):
    environment = json.loads(finished.environment.read_text())
    text = text_of(page)
    for fact in ("c" * 64, environment["gtn_hpc"], environment["processor"], f"gtn search {finished.path} "):
        assert fact in text
    assert "gtn reproduce" in text


def test_it_needs_nothing_from_elsewhere(page):
    markup = re.sub(r"<(script)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", markup)
    assert "@import" not in page
    assert "url(" not in re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]


def test_text_of_runs_is_escaped(page):
    assert "Traceback 0 &lt;b&gt;" in page
    assert "Traceback 0 <b>" not in page


def test_tables_have_captions_and_images_have_alternatives(page):
    assert page.count("<table>\n") == page.count("<caption>") > 5
    assert not re.findall(r"<img(?![^>]*alt=)[^>]*>", page.split("<script>")[0])
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1


def test_what_is_missing_is_a_line_with_the_command(tmp_path):
    run = claim(configured(tmp_path), "train")
    text = text_of(write([run], tmp_path / "report.html").read_text())
    for command in ("gtn train", "gtn search", "gtn final"):
        assert f"this command makes it: {command} {run.path} " in text
    write_curriculum(run.curriculum, configured(tmp_path), evaluated=False)
    assert f"gtn evaluate {run.path}" in text_of(write([run], tmp_path / "report.html").read_text())


def test_the_work_of_meta_training_is_that_of_all_its_ranks(tmp_path):
    run = whole_run(tmp_path, sizes=Sizes(8, 4, 0))
    assert "Meta-training took about 2 min 40 s (400 iterations of 0.4 s)" in work_of(run)
    with EventLog(run.events / "train.jsonl") as log:
        for done in range(10, 401, 10):
            log.write(
                "iterated", iteration=done - 1, loss=0.4, gradient_norm=1.0, lr=0.01, steps=8, seconds=0.4, ranks=4
            )
    assert "Meta-training took about 10 min 40 s (400 iterations of 1.6 s)" in work_of(run)


def work_of(run):
    """What the report says of who worked when, as text."""
    return text_of(" ".join(block.text for block in cost.worked(gather(run)) if isinstance(block, Prose)))


def test_the_best_of_equal_estimates_is_the_first_of_the_gallery(tmp_path):
    """Whichever ended first or last."""
    evidence = gather(whole_run(tmp_path, sizes=Sizes(12, 8, 0, constant=True)))
    scores = evidence.tables.scores.sort_values("arch", ignore_index=True)
    evidence.tables.scores = scores.assign(time=[1e9 + (place + 5) % 12 for place in range(12)])
    (gallery,), (found, *_) = search.best(evidence), search.searched(evidence)
    assert found.text.startswith("12 architectures of space nao_cell in ")
    assert f"1. {found.text.rpartition('(')[2].removesuffix(').')}" == gallery.cards[0].name


def test_learners_that_diverged_are_told(finished):
    lessons = gather(finished).lessons
    for told, said in {
        (2, 0): "count as guessing: 2 of 12 taught by the teacher.",
        (2, 1): "count as guessing: 2 of 12 taught by the teacher, 1 of 12 taught by real data.",
    }.items():
        counts = dict(zip(("accuracy_diverged", "control_diverged"), told, strict=True))
        assert teacher.in_words(replace(lessons, attributes={**lessons.attributes, **counts})).endswith(said)
    none = {**lessons.attributes, "accuracy_diverged": 0}
    assert teacher.in_words(replace(lessons, attributes=none)) == teacher.in_words(lessons)
    assert "diverged" not in teacher.in_words(lessons)


def test_constant_scores_are_told_in_words(tmp_path):
    run = whole_run(tmp_path, sizes=Sizes(12, 8, 0, constant=True))
    text = text_of(write([run], tmp_path / "report.html").read_text())
    assert "cannot be compared with the truth: the estimate is the same for all points: it ranks nothing" in text


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="gtn report RUN"):
        write([], tmp_path / "report.html")


def test_a_damaged_file_is_an_error_and_leaves_the_old_page(tmp_path):
    run = whole_run(tmp_path, sizes=Sizes(8, 4, 0))
    page = write([run], tmp_path / "report.html").read_text()
    run.scores.write_bytes(run.scores.read_bytes()[:-2000])
    with pytest.raises(StorageError):
        write([run], tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == page


def test_ten_thousand_architectures_fit_in_five_megabytes(tmp_path):
    run = whole_run(tmp_path, "many", Sizes(10_000, 200, 3, workers=16, space="{name: conv}"))
    page = write([run], tmp_path / "report.html")
    assert page.stat().st_size < 5_000_000
    assert "10 000 architectures" in text_of(page.read_text()).replace("\u202f", " ")


def test_figures_are_saved_as_png_and_svg(tmp_path):
    frame = gather(whole_run(tmp_path, sizes=Sizes(12, 8, 0))).pairs
    png, svg = figures.save(figures.correlation(frame), tmp_path / "scatter")
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert svg.read_text().count('aria-roledescription="circle"') == len(frame)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5\u202fs"), (75, "1 min 15 s"), (3599.7, "1 h 00 min"), (7322, "2 h 02 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_short_numbers():
    assert [short(value).replace("\u202f", " ") for value in (12, 1500, 2.5e6)] == ["12", "1.5 k", "2.5 M"]
