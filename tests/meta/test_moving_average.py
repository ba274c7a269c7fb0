"""The moving average of the teacher: what it is, that it is what a run gives, and that no restart changes it.

The runs of tests/survival have one too, on any number of ranks.
"""

import signal

import pytest
import torch
from tiny import alone, tiny

from gtn_hpc import checkpoint
from gtn_hpc.core.errors import Requeue
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.curriculum import file
from gtn_hpc.curriculum.frozen import freeze
from gtn_hpc.meta.events import Iterated
from gtn_hpc.meta.outer import Outer
from gtn_hpc.meta.setup import prepare
from gtn_hpc.meta.stage import train

DECAY = 0.6
AVERAGED = (f"meta.average={DECAY}", "meta.iterations=6", "run.precision=float64")


def teachers_of(tmp_path):
    """Parameters after each of six updates along made-up gradients, and the outer optimiser that made them."""
    room = prepare(tiny(tmp_path, *AVERAGED), torch.device("cpu"))
    outer, draw, seen = Outer(room.teacher, room.config.meta), torch.Generator().manual_seed(1), []
    for iteration in range(6):
        gradient = {
            name: torch.randn(p.shape, generator=draw, dtype=p.dtype) for name, p in room.teacher.named_parameters()
        }
        outer.step(gradient, iteration)
        seen.append({name: p.detach().clone() for name, p in room.teacher.named_parameters()})
    return seen, outer


def test_it_weighs_each_update_by_the_decay_to_the_power_of_its_age(tmp_path):
    seen, outer = teachers_of(tmp_path)
    weights = [DECAY**5, *((1 - DECAY) * DECAY**age for age in (4, 3, 2, 1, 0))]
    for name, found in outer.result.named_parameters():
        expected = sum(weight * teacher[name] for weight, teacher in zip(weights, seen, strict=True))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_before_the_first_update_there_is_none(tmp_path):
    room = prepare(tiny(tmp_path, *AVERAGED), torch.device("cpu"))
    outer = Outer(room.teacher, room.config.meta)
    room.begin()
    assert outer.result is room.teacher
    assert not outer.updated
    assert teachers_of(tmp_path)[1].updated


def test_a_run_gives_the_average_and_goes_on_with_the_last(tmp_path):
    averaged = train(tiny(tmp_path / "a", *AVERAGED), alone())
    last = train(tiny(tmp_path / "b", *AVERAGED[1:]), alone())
    config, saved = tiny(tmp_path / "a", *AVERAGED), checkpoint.latest(averaged.run.checkpoints, print)
    room = prepare(config, torch.device("cpu"))
    outer = Outer(room.teacher, config.meta)
    outer.restore(dict(saved.tensors))
    digests = [freeze(teacher, torch_generator(0, "export")).digest() for teacher in (outer.result, outer.teacher)]
    assert digests == [averaged.frozen.digest(), last.frozen.digest()]
    assert digests[0] != digests[1]
    assert file.read(averaged.run.curriculum).digest == digests[0]


@pytest.mark.parametrize("arm", ["full", "real_data"])
def test_a_stopped_run_ends_with_the_same_bits(tmp_path, arm):
    options = (*AVERAGED, f"teacher.curriculum.arm={arm}")
    straight = train(tiny(tmp_path / "a", *options), alone())
    config = tiny(tmp_path / "b", *options)
    for iteration in (0, 3):
        with pytest.raises(Requeue):
            train(config, alone(), [stopping_at(iteration)])
    assert train(config, alone()).frozen.digest() == straight.frozen.digest()


def stopping_at(iteration):
    def observe(event):
        if isinstance(event, Iterated) and event.iteration == iteration:
            signal.raise_signal(signal.SIGTERM)

    return observe
