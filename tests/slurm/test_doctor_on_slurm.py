"""`gtn doctor` and the GPUs of ranks on a real Slurm."""

from slurm_jobs import examined


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
