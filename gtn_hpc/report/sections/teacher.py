"""How well the teacher teaches, how it learned to, and what it shows."""

from collections.abc import Iterator

import numpy as np

from gtn_hpc.report import figures
from gtn_hpc.report.blocks import Block, Lesson, Prose, Sheet, figure
from gtn_hpc.report.evidence import Evidence
from gtn_hpc.report.frames import teaching
from gtn_hpc.report.frames.teaching import Lessons
from gtn_hpc.report.sections import policies
from gtn_hpc.report.sections.absent import unjudged, untaught
from gtn_hpc.report.sheets import LIMIT_BYTES, chosen_steps, data_uri, pixels, sheet
from gtn_hpc.report.wording import percent, percent_interval, plural, points
from gtn_hpc.stats import Estimate


def taught(evidence: Evidence) -> Iterator[Block]:
    """Learning curves of fresh learners, or returns of policies, and the curves of meta-training."""
    if evidence.config.rl is not None:
        yield from policies.taught(evidence)
        return
    if evidence.lessons is None:
        yield untaught(evidence, "No curriculum yet")
    elif not evidence.lessons.accuracy:
        yield unjudged(evidence, "accuracies of learners")
    else:
        yield from _learning(evidence.lessons)
    yield from _meta_training(evidence)


def in_words(lessons: Lessons) -> str:
    """The accuracies at the end in a sentence or four."""
    taught_to = teaching.accuracy_at_end(lessons)
    split = lessons.attributes.get("evaluation_split", "validation")
    batch = lessons.x.shape[1]
    text = (
        f"{plural(taught_to.n, 'never-seen learner')} taught by {plural(lessons.steps, 'step')} of {batch} synthetic "
        f"images reach {percent_interval(taught_to)} on the {split} split."
    )
    ahead = teaching.advantage(lessons)
    if ahead is not None:
        real = teaching.accuracy_at_end(lessons, "real data")
        text += f" The same learners on as many tuned steps of real data reach {percent_interval(real)}."
        text += f" {_advantage(ahead)}"
    return text + _diverged(lessons)


def _diverged(lessons: Lessons) -> str:
    """Where there are such learners: a mean that counts them as guessing does not tell."""
    told = {"the teacher": "accuracy_diverged", "real data": "control_diverged"}
    counts = {name: int(lessons.attributes.get(attribute, 0)) for name, attribute in told.items()}
    learners = len(lessons.accuracy["teacher"])
    parts = [f"{count} of {learners} taught by {name}" for name, count in counts.items() if count]
    return f" Learners that diverged count as guessing: {', '.join(parts)}." if parts else ""


def _advantage(ahead: Estimate) -> str:
    """Without an interval, or with one of no length, nothing is decided."""
    if not ahead.low < ahead.high:
        return f"The difference is {points(ahead.value)} points, without an interval: {ahead.note}."
    verdict = "better" if ahead.low > 0 else "worse" if ahead.high < 0 else "not certainly better or worse"
    return (
        f"Learner by learner the teacher is {verdict}: {points(ahead.value)} points "
        f"[{points(ahead.low)}, {points(ahead.high)}]."
    )


def _learning(lessons: Lessons) -> Iterator[Block]:
    last = teaching.accuracy_at_end(lessons)
    yield figure(
        figures.learning_curves(teaching.learning(lessons)),
        "Accuracy of fresh learners after each inner step: mean and 95 % interval (Student's) over learners.",
        f"Learning curves over {lessons.steps} inner steps; taught learners end at {percent(last.value)}.",
    )
    yield from _control(lessons)


def _control(lessons: Lessons) -> Iterator[Block]:
    told = lessons.attributes
    if "control_lr" in told:
        yield Prose(
            f"Real data: rate {told['control_lr']:.3g}, momentum {told['control_momentum']:.2g} and batch norm by "
            f"{told['control_statistics']} statistics were the best of a grid, by validation, with other learners."
        )


def _meta_training(evidence: Evidence) -> Iterator[Block]:
    loss, accuracy = teaching.iterations(evidence.events), teaching.evaluations(evidence.events)
    if len(loss) > 1:
        yield figure(
            figures.meta_loss(loss),
            "Meta-training: loss on real data of the learners taught in an iteration, and its running mean.",
            f"Meta-loss from {loss['loss'].iloc[0]:.2f} to {loss['loss'].iloc[-1]:.2f} nat "
            f"over {loss['iteration'].iloc[-1]} iterations.",
            half=True,
        )
    if len(accuracy) > 1:
        yield figure(
            figures.meta_accuracy(accuracy),
            "Meta-training: validation accuracy of fresh learners, mean and standard deviation.",
            f"Accuracy from {percent(accuracy['accuracy'].iloc[0])} to {percent(accuracy['accuracy'].iloc[-1])}.",
            half=True,
        )


def shown(evidence: Evidence, share: float = 1.0) -> Iterator[Block]:
    """The synthetic images behind a slider; `share` of the room for pixels is this run's."""
    lessons = evidence.lessons
    if lessons is None:
        yield untaught(evidence, "No synthetic images yet")
        return
    if evidence.config.rl is not None:
        yield Prose("This teacher shows states of an environment, which have no picture.")
        return
    steps, rows = chosen_steps(lessons.steps, lessons.x[0, 0].size, lessons.classes, int(LIMIT_BYTES * share))
    attributes = lessons.attributes
    images = pixels(
        lessons.x[steps], np.atleast_1d(attributes.get("mean", 0.0)), np.atleast_1d(attributes.get("std", 1.0))
    )
    labels = lessons.y[steps].argmax(axis=2)
    sheets = [
        sheet(batch, classes, lessons.classes, rows) for batch, classes in zip(images, labels, strict=True)
    ]  # fmt: skip
    yield Lesson(
        caption=_caption(lessons, len(steps), rows),
        sheets=[Sheet(data_uri(pixel), _label(lessons, step)) for pixel, step in zip(sheets, steps, strict=True)],
        classes=lessons.classes,
        width=sheets[0].shape[1],
        height=sheets[0].shape[0],
    )


def _caption(lessons: Lessons, steps: int, rows: int) -> str:
    order = {"fixed": "the order in which they are shown", "batches": "batches shown in any order"}
    which = "all" if steps == lessons.steps else f"{steps} of {lessons.steps}"
    return (
        f"Synthetic images, a column a class, up to {rows} of each; {which} steps, "
        f"{order.get(str(lessons.attributes.get('order')), 'images shown in any order')}. "
        "Black and white are the 1st and the 99th percentile of the whole curriculum."
    )


def _label(lessons: Lessons, step: int) -> str:
    text = f"step {step + 1} of {lessons.steps}, rate {lessons.lr[step]:.3g}, momentum {lessons.momentum[step]:.2f}"
    if "teacher" not in lessons.accuracy:
        return text
    return f"{text}; accuracy afterwards {percent(float(lessons.accuracy['teacher'][:, step].mean()))}"
