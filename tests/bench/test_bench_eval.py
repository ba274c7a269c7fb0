"""The evaluation bench: its rows, and that every path gives the plain loop's scores. No assertion on time."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from gtn_hpc.bench import evaluations
from gtn_hpc.core.errors import UsageError
from gtn_hpc.curriculum.file import read
from gtn_hpc.models.layers import Conv2d


def test_every_path_gives_the_plain_loops_scores() -> None:
    size = evaluations.Size(cells=1, filters=8, side=8, steps=2, batch=8)
    report = evaluations.run(size, architectures=1, repeats=1, say=lambda _: None)
    assert json.loads(json.dumps(report)) == report
    assert (report["bench"], report["device"]) == ("eval", "cpu")
    assert [row["path"] for row in report["rows"]] == list(evaluations.DEFAULT)
    assert all(row["same_scores"] and row["archs_per_min"] > 0 for row in report["rows"])
    assert report["rows"][0]["speed_vs_plain"] == 1.0


@pytest.mark.parametrize(("precision", "expected"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
@pytest.mark.parametrize("path", [*evaluations.RIVALS, "reference"])
def test_the_plain_loop_takes_products_in_the_precision_of_the_others(
    tmp_path: Path, path: str, precision: str, expected: torch.dtype
) -> None:
    overrides = ["run.device=cpu", f"run.precision={precision}"]
    size = evaluations.Size(cells=1, filters=4, side=8, steps=1, batch=8)
    made = evaluations.Workshop(tmp_path, size, "cpu", overrides)
    seen: set[tuple[bool, torch.dtype]] = set()

    def look(module: nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(module, Conv2d):
            seen.add((module.training, output.dtype))

    hook = register_module_forward_hook(look)
    try:
        assert made.measure(path, made.architectures(1)[0])[1].loss < math.inf
    finally:
        hook.remove()
    assert seen == {(True, expected), (False, expected)}


def test_the_curriculum_is_shown_as_it_was_drawn(tmp_path: Path) -> None:
    made = evaluations.Workshop(tmp_path, evaluations.Size(cells=1, filters=4, side=8, steps=2, batch=8), "cpu", [])
    shown = made._evaluator("reference").room.taught.x
    assert torch.equal(shown, read(tmp_path / "curriculum.h5").frozen.x)


def test_an_unknown_path_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="lean"):
        evaluations.run(paths=("leen",))
    with pytest.raises(UsageError, match=r"'conv'\.\n.*nao_cell, nasbench201"):
        evaluations.run(evaluations.Size(space="conv"))
