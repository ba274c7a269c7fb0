"""The vector-Jacobian product, and what a meta-gradient leaves unimported."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from gtn_hpc.inner.pullback import pullback

Launch = Callable[..., "subprocess.CompletedProcess[str]"]

LEAN = """
import sys
sys.path.insert(0, {here!r})
from meta_tasks import make_learner, make_task, make_teacher, parameters
from gtn_hpc.inner.auto import make_adjoint
from gtn_hpc.inner.trajectory import Trajectory

teacher = make_teacher(2)
for name in ("reverse", "traced", "auto"):
    assert Trajectory(make_adjoint(name))(make_task(make_learner(), teacher), parameters(teacher)).gradient
print([name for name in ("sympy", "torch._dynamo") if name in sys.modules])
"""


@given(st.integers(0, 2**31), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_it_is_what_autograd_gives_for_these_cotangents(seed: int, sizes: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    first, second, unused = (torch.randn(4, generator=generator, requires_grad=True) for _ in range(3))
    outputs = [(first[:n] * second[:n]).exp() for n in sizes]
    cotangents = [torch.randn(n, generator=generator) for n in sizes]
    expected = torch.autograd.grad(outputs, [first, second], cotangents, retain_graph=True)
    with torch.no_grad():
        *found, nothing = pullback(outputs, [first, second, unused], cotangents)
    assert nothing is None
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_meta_gradient_imports_no_compiler(launch: Launch) -> None:
    done = launch([sys.executable, "-c", LEAN.format(here=str(Path(__file__).parent))], timeout=120)
    assert done.stdout.strip() == "[]"
