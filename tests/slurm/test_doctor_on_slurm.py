"""`gtn doctor` and the GPUs of ranks on a real Slurm."""

import json
import sys

GTN = (sys.executable, "-m", "gtn_hpc", "doctor", "--json", "--root")


def examined(slurm, place, *options):
    told = slurm.run("srun", *options, "--cpus-per-task=1", *GTN, place, check=False)
    (line,) = [line for line in told.splitlines() if line.startswith('{"well"')]
    nodes = json.loads(line)["nodes"]
    return [(node["host"], {finding["check"]: finding for finding in node["findings"]}) for node in nodes]


def test_under_srun_it_tells_of_every_node_and_each_rank_has_its_own_gpu(slurm, tmp_path):
    (first, found), (second, there) = examined(
        slurm, tmp_path, "--nodelist=vnode[0-1]", "--ntasks-per-node=2", "--gpus-per-task=1"
    )
    assert (first, second) == ("vnode0", "vnode1")
    gpus = found["own GPU"]
    assert gpus["status"] == "ok"
    assert all(f"vnode{node} GPU {index}" in gpus["found"] for node in (0, 1) for index in (0, 1))
    assert found["launcher"]["found"] == "slurm: rank 0 of 4, 0 of 2 on vnode0"
    assert found["slurm"]["status"] == there["slurm"]["status"] == "ok"
    assert found["master address"]["found"] == "vnode0 is 127.0.0.1"
    assert found["sacct"]["status"] == ("ok" if slurm.accounting else "warn")
    assert "own GPU" not in there


def test_two_ranks_on_one_gpu_are_seen(slurm, tmp_path):
    ((_, found),) = examined(slurm, tmp_path, "--nodes=1", "--ntasks-per-node=2", "--gpus-per-node=1")
    assert found["own GPU"]["status"] == "fail"
    assert "GPU 0: ranks 0, 1" in found["own GPU"]["found"]
