"""`gtn search` as one of several processes: what a part prints, and what is said of settings for one process."""

import pytest
from gtn_process import gtn


@pytest.mark.parametrize(
    ("settings", "evaluations", "shard"),
    [(["search.pool=shared"], 4, None), (["search.pool=shards", "search.shard=1/3"], 1, "1/3")],
)
def test_a_part_prints_one_object(workplace, empty, settings, evaluations, shard):
    taught = f"search.curriculum={workplace / 'runs' / 'small' / 'curriculum.h5'}"
    done = gtn("search", "small.yaml", taught, *settings, "--json", cwd=empty)
    told = {"run": "runs/small", "scores": "runs/small/scores.h5", "evaluations": evaluations, "shard": shard}
    assert (done.code, done.json) == (0, told)


def test_workers_of_one_process_are_told_from_ranks(launch, empty):
    ranks = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    command = ["gtn", "search", "small.yaml", "search.workers=8"]
    done = launch(command, cwd=empty, environ={**ranks, **place}, check=False)
    assert done.stderr.count("search.workers=8 is for one process: here each rank scores one at a time.") == 1
    assert (done.returncode, "no curriculum.h5" in done.stderr) == (1, True)
    assert "search.workers" not in launch(command, cwd=empty, check=False).stderr
