"""The updates against torch.optim's classes, bit by bit, and what they are there for: no import of a compiler."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gtn_hpc.training import updates

DIGITS = Path(__file__).parents[2] / "configs" / "digits.yaml"
Launch = Callable[..., "subprocess.CompletedProcess[str]"]


def parameters() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, requires_grad=True) for shape in ((3, 4), (5,), (2, 2, 2))]


def step_both(
    step: int, ours: list[Tensor], update: updates.Adam | updates.SGD, reference: torch.optim.Optimizer
) -> None:
    """The same gradients to both; the last parameter has one in every second step alone."""
    generator, lr = torch.Generator().manual_seed(1 + step), 0.1 / (1 + step)
    (group,) = reference.param_groups
    for place, (mine, other) in enumerate(zip(ours, group["params"], strict=True)):
        gradient = torch.randn(mine.shape, generator=generator)
        mine.grad = other.grad = None if place == 2 and step % 2 == 0 else gradient
    group["lr"] = lr
    update.step(lr)
    reference.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, group["params"], strict=True))


@pytest.mark.parametrize("foreach", [None, True])
def test_adam_is_that_of_torch(foreach: bool | None) -> None:
    ours = parameters()
    adam = updates.Adam(ours, (0.8, 0.95), 1e-7, foreach=foreach)
    reference = torch.optim.Adam(parameters(), betas=(0.8, 0.95), eps=1e-7, foreach=foreach)
    for step in range(6):
        step_both(step, ours, adam, reference)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
def test_sgd_is_that_of_torch_and_goes_on_from_the_state_of_either(momentum: float, weight_decay: float) -> None:
    ours = parameters()
    sgd = updates.SGD(ours, momentum, weight_decay)
    reference = torch.optim.SGD(parameters(), lr=1.0, momentum=momentum, weight_decay=weight_decay)
    for step in range(9):
        step_both(step, ours, sgd, reference)
        if step in (2, 5):
            kept = copy.deepcopy(sgd.state() if step == 2 else reference.state_dict())
            sgd = updates.SGD(ours, momentum, weight_decay)
            sgd.restore(kept)


LEAN = """
import sys
from gtn_hpc.cli import main

digits = {digits!r}
quick = ["meta.iterations=1", "meta.replicas=1", "teacher.curriculum.steps=2",
    "teacher.curriculum.start_passes=1", "evaluate.learners=1",
    "evaluate.real_data.enabled=false", "final.epochs=1", "final.top_k=1", "search.budget=1",
    "search.certificate.fraction=0", "search.certificate.minimum=0", "run.device=cpu", "run.root=" + {root!r}]
assert main(["train", digits, *quick]) == 0
assert main(["search", digits, *quick]) == 0
assert main(["final", digits, *quick]) == 0
print([name for name in ("sympy", "torch._dynamo") if name in sys.modules])
"""


def test_no_stage_imports_a_compiler(launch: Launch, tmp_path: Path) -> None:
    """It takes two seconds in each process. A start from real images and a winner's training are among the stages."""
    done = launch([sys.executable, "-c", LEAN.format(digits=str(DIGITS), root=str(tmp_path))], timeout=200)
    assert done.stdout.splitlines()[-1] == "[]"
