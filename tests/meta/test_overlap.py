"""What may be sent while the reverse loop still runs is what stands there at its end."""

from dataclasses import replace

import pytest
import torch
from tiny import tiny

from gtn_hpc.inner import showing
from gtn_hpc.inner.build import make_engine
from gtn_hpc.meta.setup import make_task, prepare


@pytest.mark.parametrize("arm", ["full", "shuffled_batch", "distilled_pixels", "real_data"])
@pytest.mark.parametrize("overrides", [[], ["engine.window=2"]], ids=["whole", "window"])
def test_parts_of_passed_steps_are_final(tmp_path, monkeypatch, arm, overrides):
    monkeypatch.setattr(showing, "TOGETHER", 1)
    config = tiny(
        tmp_path, f"teacher.curriculum={{arm: {arm}, steps: 4, batch: 10}}", "engine.name=trajectory", *overrides
    )
    room = prepare(config, torch.device("cpu"))
    parts = {name: dict(room.teacher.named_parameters())[name].shape[0] // 4 for name in room.teacher.by_step()}
    assert any(name.startswith("schedule.") for name in parts)
    assert ("latents" in parts, "pixels" in parts) == (arm == "full", arm == "distilled_pixels")
    seen = []

    def passed(steps, gradient):
        early = {name: gradient[name][max(4 - steps, 1) * size :].clone() for name, size in parts.items()}
        seen.append((steps, early))

    task = replace(make_task(room, 0, 0), passed=passed)
    found = make_engine(config.engine)(task, dict(room.teacher.named_parameters()))
    assert [steps for steps, _ in seen] == list(range(1, 3 if overrides else 5))
    for _, early in seen:
        for name, part in early.items():
            assert torch.equal(part, found.gradient[name][-len(part) :] if len(part) else part)
