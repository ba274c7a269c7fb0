"""How much a worker may use: a part of what the host has free, or of what the limits of its control groups leave."""

from pathlib import Path

import pytest

from gtn_hpc.farm import memory
from gtn_hpc.farm.memory import SHARE, fair_share

MIB = 1 << 20


def test_a_fair_share_is_part_of_what_is_free() -> None:
    one, four = fair_share(1), fair_share(4)
    assert one is not None
    assert four is not None
    assert 0 < four < one


def slurm_groups(path: Path, **limits: str) -> None:
    """Control groups of a task as Slurm nests them, each with what `limits` says and 3 MiB in use, 1 of it caches."""
    for names in (("job",), ("job", "step"), ("job", "step", "user"), ("job", "step", "user", "task")):
        group = path.joinpath("system.slice", *names)
        group.mkdir(parents=True, exist_ok=True)
        (group / "memory.max").write_text(f"{limits.get(names[-1], 'max')}\n")
        (group / "memory.current").write_text(f"{3 * MIB}\n")
        (group / "memory.stat").write_text(f"anon {2 * MIB}\nactive_file {MIB // 4}\ninactive_file {3 * MIB // 4}\n")


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"job": 64, "step": 32}, 30),
        ({"job": 16, "step": 32}, 14),
        ({"task": 8, "job": 16}, 6),
        ({}, 1000),
    ],
)
def test_the_least_that_a_group_or_one_above_leaves_is_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], left: int
) -> None:
    slurm_groups(tmp_path, **{name: str(size * MIB) for name, size in limits.items()})
    (tmp_path / "membership").write_text("1:name=systemd:/\n0::/system.slice/job/step/user/task\n")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(memory, "_host", lambda: 1000 * MIB)
    assert fair_share(1) == int(SHARE * left * MIB)
