"""How good a teacher is, as numbers and as a table: by accuracies of learners, or by returns of policies."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from gtn_hpc.cli import console

if TYPE_CHECKING:
    from gtn_hpc.meta.evaluation import Evaluation
    from gtn_hpc.meta.real_data import Control
    from gtn_hpc.meta.returns import Returns
    from gtn_hpc.meta.room import Judgement

RETURNS = "returns"
"""The key of a summary of returns that one of accuracies lacks."""


def summary(judgement: "Judgement") -> dict[str, Any]:
    """JSON-able numbers, as `show` shows them."""
    from gtn_hpc.meta.evaluation import Evaluation
    from gtn_hpc.meta.returns import Returns

    if isinstance(judgement, Returns):
        return _returns(judgement)
    assert isinstance(judgement, Evaluation)
    return _accuracies(judgement)


def show(found: dict[str, Any], family: str = "") -> None:
    """The tables of a `summary`; `family` is that of all learners."""
    of_family = f" of the family {family}" if family else ""
    if RETURNS in found:
        _show_returns(found, of_family)
    else:
        _show_accuracies(found, of_family)


def _returns(found: "Returns") -> dict[str, Any]:
    """Mean return over policies by horizon and arm, with a bootstrap interval over policies."""
    policies, _, episodes = found.arms["taught"].shape
    by_horizon = {
        str(horizon): {arm: _return(sums[:, index].mean(axis=1)) for arm, sums in found.arms.items()}
        for index, horizon in enumerate(found.horizons)
    }
    return {"policies": policies, "episodes": episodes, RETURNS: by_horizon}


def _return(each: Any) -> dict[str, Any]:
    """Of the mean returns of policies [P]."""
    from gtn_hpc.stats import mean, sd

    estimate = mean(each, method="percentile", rng=np.random.default_rng(0))
    return asdict(estimate) | {"sd": sd(each), "lowest": float(each.min()), "each": each.tolist()}


def _show_returns(found: dict[str, Any], of_family: str) -> None:
    from gtn_hpc.meta.returns import ARMS

    policies = f"{found['policies']} never-seen policies{of_family}"
    for horizon, arms in found[RETURNS].items():
        console.table(
            f"Return of {policies}, {found['episodes']} episodes of {horizon} steps each",
            ("", "mean", "sd", "lowest", "95 % interval"),
            [(ARMS[arm], *_return_numbers(side)) for arm, side in arms.items()],
        )


def _return_numbers(side: dict[str, Any]) -> tuple[str, str, str, str]:
    between = "" if np.isnan(side["low"]) else f"{side['low']:.1f} to {side['high']:.1f}"
    spread = "" if np.isnan(side["sd"]) else f"{side['sd']:.1f}"
    return f"{side['value']:.1f}", spread, f"{side['lowest']:.1f}", between


def _accuracies(evaluation: "Evaluation") -> dict[str, Any]:
    """Accuracies as fractions, of each side after the last step and in the mean after each step."""
    from gtn_hpc.stats import paired_difference

    teacher = _side(evaluation.teacher, evaluation.diverged)
    found = {"split": evaluation.split, "learners": len(evaluation.teacher), "teacher": teacher}
    if control := evaluation.control:
        found["real_data"] = _tuned(control)
        found["difference"] = asdict(paired_difference(evaluation.teacher[:, -1], control.accuracy[:, -1]))
    return found | (_longer(evaluation) if evaluation.longer else {})


def _longer(evaluation: "Evaluation") -> dict[str, Any]:
    """Real data by number of steps, and how many steps reach the accuracy of the teacher, with an interval."""
    from gtn_hpc.stats import mean_sweep

    own = {} if evaluation.control is None else {evaluation.teacher.shape[1]: evaluation.control}
    lengths = dict(sorted({**evaluation.longer, **own}.items()))
    rows = {str(n): _tuned(control) for n, control in lengths.items()}
    last = [control.accuracy[:, -1] for control in lengths.values()]
    sweep = mean_sweep(evaluation.teacher[:, -1], last, tuple(lengths), rng=np.random.default_rng(0))
    return {"real_data_for": rows, "steps_to_equal": asdict(sweep.meets)}


def _tuned(control: "Control") -> dict[str, Any]:
    chosen = {"lr": control.lr, "momentum": control.momentum, "statistics": control.statistics}
    return _side(control.accuracy, control.diverged) | chosen


def _side(accuracies: Any, diverged: int | None) -> dict[str, Any]:
    """Of accuracies [learners, T]; the interval of a mean of few goes no further than accuracies do."""
    from gtn_hpc.stats import mean, sd

    last = accuracies[:, -1]
    further = {"sd": sd(last), "diverged": diverged, "after_step": accuracies.mean(axis=0).tolist()}
    return asdict(mean(last, within=(0, 1))) | further


def _show_accuracies(found: dict[str, Any], of_family: str) -> None:
    """The table of learners, and the mean accuracy after each step."""
    real = found.get("real_data")
    title = f"Accuracy in % of {found['learners']} never-seen learners{of_family} on the {found['split']} split"
    rows = [("the teacher", *_numbers(found["teacher"]))]
    if real:
        rows += [("real data", *_numbers(real)), ("difference, paired by learner", *_numbers(found["difference"]))]
    console.table(title, ("taught by", "mean", "sd", "95 % interval"), rows)
    steps = len(found["teacher"]["after_step"])
    _show_diverged(found, steps)
    shown = sorted({round(step) for step in np.linspace(1, steps, min(steps, 10))})
    sides = [("the teacher", found["teacher"]), *([("real data", real)] if real else [])]
    console.table(
        "Mean after inner step",
        ("", *map(str, shown)),
        [(name, *(f"{100 * side['after_step'][step - 1]:.1f}" for step in shown)) for name, side in sides],
    )
    if "steps_to_equal" in found:
        _show_longer(found, steps)
    if real:
        console.say(
            f"Real data at its best of the grid on validation: rate {real['lr']:g}, momentum {real['momentum']:g}, "
            f"batch norm by the {real['statistics']} statistics."
        )


def _show_diverged(found: dict[str, Any], steps: int) -> None:
    """Where there are such learners: a mean that counts them as guessing does not tell."""
    further = {int(n): side for n, side in found.get("real_data_for", {}).items() if int(n) != steps}
    sides = {"the teacher": found["teacher"], "real data": found.get("real_data")}
    sides |= {f"real data in {n} steps": side for n, side in further.items()}
    counts = {name: side["diverged"] for name, side in sides.items() if side and side["diverged"] is not None}
    if any(counts.values()):
        told = ", ".join(f"{name} {count} of {found['learners']}" for name, count in counts.items())
        console.say(f"Learners that diverged, and count as guessing: {told}.")


def _show_longer(found: dict[str, Any], steps: int) -> None:
    rows = [
        (n, f"{int(n) / steps:.3g}", *_numbers(side), f"{side['lr']:g}", f"{side['momentum']:g}")
        for n, side in found["real_data_for"].items()
    ]
    title = f"Real data by inner steps; the teacher: {100 * found['teacher']['value']:.2f} % after {steps}"
    console.table(title, ("steps", "x", "mean", "sd", "95 % interval", "rate", "momentum"), rows)
    equal, tried = found["steps_to_equal"], [int(n) for n in found["real_data_for"]]
    console.say(
        f"Real data reach the teacher's accuracy after {_steps(equal, tried)} steps; the teacher takes {steps}."
    )


def _steps(equal: dict[str, Any], tried: list[int]) -> str:
    """Within the numbers of steps `tried`."""

    def told(n: float) -> str:
        """What lies beyond the numbers that were tried is not known."""
        return f"more than {tried[-1]}" if np.isinf(n) else f"{tried[0]} or fewer" if n <= tried[0] else f"{n:.0f}"

    value, low, high = (told(equal[name]) for name in ("value", "low", "high"))
    return value if np.isnan(equal["low"]) or low == high == value else f"{value} [{low}, {high}]"


def _numbers(side: dict[str, Any]) -> tuple[str, str, str]:
    spread = "" if np.isnan(side.get("sd", np.nan)) else f"{100 * side['sd']:.2f}"
    return f"{100 * side['value']:.2f}", spread, interval(side["low"], side["high"])


def interval(low: float, high: float) -> str:
    """Of fractions, in percent."""
    return "" if np.isnan(low) else f"{100 * low:.2f} to {100 * high:.2f}"
