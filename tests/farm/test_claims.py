"""Claims: one owner at a time, kept alive by its heartbeat, and taken over after its end."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gtn_hpc.farm.claims import Claims


def test_of_many_that_want_it_one_gets_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        claims = [Claims(tmp_path, expiry=60) for _ in range(8)]
        for work in map(str, range(30)):
            assert sum(threads.map(lambda one, work=work: one.take(work), claims)) == 1  # type: ignore[misc]


def test_of_many_that_find_it_lapsed_one_gets_it(tmp_path: Path) -> None:
    assert Claims(tmp_path, expiry=60).take("work")
    for generation in range(5):
        os.utime(tmp_path / f"work.{generation}", (0, 0))
        claims = [Claims(tmp_path, expiry=60) for _ in range(8)]
        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(lambda one: one.take("work"), claims)) == 1


def test_a_claim_that_vanished_does_not_stop_the_heartbeat_of_the_others(tmp_path: Path) -> None:
    with Claims(tmp_path, expiry=0.4) as claims:
        assert claims.take("gone")
        assert claims.take("work")
        (tmp_path / "gone.0").unlink()
        os.utime(tmp_path / "work.0", (0, 0))
        end = time.monotonic() + 60
        while os.stat(tmp_path / "work.0").st_mtime == 0:
            assert time.monotonic() < end
            time.sleep(0.05)
        os.utime(tmp_path / "work.0", (0, 0))
        while os.stat(tmp_path / "work.0").st_mtime == 0:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_heartbeat_keeps_a_claim_and_without_one_it_lapses(tmp_path: Path) -> None:
    other = Claims(tmp_path, expiry=0.8)
    with Claims(tmp_path, expiry=0.8) as claims:
        assert claims.take("work")
        assert claims.take("done")
        claims.finish(["done", "unknown"])
        for _ in range(10):
            time.sleep(0.2)
            assert not claims.take("work")
        os.utime(tmp_path / "done.0", (0, 0))
        time.sleep(0.5)
        assert other.take("done")
        assert os.stat(tmp_path / "work.0").st_mtime > os.stat(tmp_path / "done.0").st_mtime
    os.utime(tmp_path / "work.0", (0, 0))
    assert other.take("work")
    assert not any(path.name.startswith("clock") for path in tmp_path.iterdir() if path != other._probe)


def test_a_claim_that_is_alive_is_looked_at_again_when_it_can_have_lapsed(tmp_path: Path, monkeypatch) -> None:
    looks, original = list[str](), Claims._last_generation
    assert Claims(tmp_path, expiry=2.0).take("work")
    monkeypatch.setattr(Claims, "_last_generation", lambda self, name: looks.append(name) or original(self, name))
    claims, asked = Claims(tmp_path, expiry=2.0), 0
    while not claims.take("work"):
        asked += 1
        time.sleep(0.02)
    assert asked > len(looks) > 1
    assert claims.taken_over("work")
    assert claims.take("other") and not claims.taken_over("other")
    assert not claims.take("work")
