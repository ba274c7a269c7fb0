"""Meta-gradients from nothing but forward passes: what every engine is checked against."""

from dataclasses import replace

import torch

from gtn_hpc.inner.engine import Task
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.step import inner_step, real_loss

WIDTHS = (1e-4, 1e-5, 1e-6, 1e-7)
"""Widths of the differences, for parameters of order one in float64."""


@torch.no_grad()
def total_loss(task: Task) -> float:
    """The sum of the real losses of `task`, trained step by step without a graph."""
    state, total = task.initial, 0.0
    for t in range(task.episode.steps):
        state = inner_step(task.learner, state, task.episode.batch(t), task.episode.hyper(t), t)
        if t + 1 in task.real:
            total += float(real_loss(task.learner, state, task.real[t + 1]))
    return total


def central_difference(task: Task, teacher: Tensors, direction: Tensors) -> float:
    """d loss / d s of the teacher moved by s times the unit vector along `direction`, from losses on either side.

    The teacher is moved in place and moved back. Names of `direction` that are no teacher's name move the learner's
    initial parameters. Training jumps where a leaky ReLU or a pool switches, so several widths are tried, and the one
    whose estimate agrees best with that of the next narrower is taken. Costs 16 trainings.
    """
    length = torch.cat([d.flatten() for d in direction.values()]).norm()
    unit = {k: d / length for k, d in direction.items()}
    wide = [_five_points(task, teacher, unit, width) for width in WIDTHS]
    best = min(range(len(wide) - 1), key=lambda i: abs(wide[i] - wide[i + 1]))
    return wide[best]


def _five_points(task: Task, teacher: Tensors, unit: Tensors, width: float) -> float:
    """Fourth-order central difference: error O(width^4) and rounding / width."""
    near = _moved_loss(task, teacher, unit, width) - _moved_loss(task, teacher, unit, -width)
    far = _moved_loss(task, teacher, unit, 2 * width) - _moved_loss(task, teacher, unit, -2 * width)
    return (8 * near - far) / (12 * width)


@torch.no_grad()
def _moved_loss(task: Task, teacher: Tensors, unit: Tensors, by: float) -> float:
    before = {k: teacher[k].detach().clone() for k in unit if k in teacher}
    start = {k: p + by * unit[k] if k in unit else p for k, p in task.initial.params.items()}
    for k in before:
        teacher[k].add_(by * unit[k])
    try:
        return total_loss(replace(task, initial=replace(task.initial, params=start)))
    finally:
        for k, value in before.items():
            teacher[k].copy_(value)
