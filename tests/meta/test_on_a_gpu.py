"""Meta-training on a GPU is meta-training on a CPU, and goes on bit for bit."""

import needs
import pytest
import torch

from gtn_hpc.cluster.connect import connect
from gtn_hpc.config import parse
from gtn_hpc.config.teaching import Augment, Data
from gtn_hpc.core.errors import Requeue
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.curriculum.file import read
from gtn_hpc.data import load
from gtn_hpc.inner import graphed
from gtn_hpc.meta.stage import train

pytestmark = needs.GPU

TEXT = """
run: {name: taught}
teacher:
  generator: {noise: 16, hidden: 32, channels: [8, 8]}
  curriculum: {steps: 4, batch: 20, start: noise}
learners:
  - {family: conv2-fc, widths: [[8, 17], [8, 17], [8, 17]]}
inner: {lr: 0.1, intermediate_every: 2}
meta: {iterations: 6, batch: 32, lr: 0.005, checkpoint_every: 3}
evaluate: {learners: 2, real_data: {enabled: false}}
"""


def taught(root, *overrides):
    config = parse(TEXT, [f"run.root={root}", *overrides])
    train(config, connect(config.run.device))
    return read(root / "taught" / "curriculum.h5").frozen


def test_a_gpu_teaches_what_a_cpu_teaches(tmp_path):
    there = taught(tmp_path / "cuda", "run.device=cuda", "run.precision=float64")
    here = taught(tmp_path / "cpu", "run.device=cpu", "run.precision=float64")
    assert (there.x - here.x).norm() < 1e-5 * here.x.norm()
    for mine, other in zip(there.schedule.table(), here.schedule.table(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=0)


@pytest.mark.parametrize("graphs", [False, True])
def test_bf16_tf32_and_graphs_teach_much_the_same(tmp_path, monkeypatch, graphs):
    """Learners of one shape by the kit, which needs no tracing: so that there is something to capture."""
    captured = []
    capture = graphed.capture
    monkeypatch.setattr(graphed, "capture", lambda *given: captured.append(None) or capture(*given))
    alike = ["run.device=cuda", "learners=[{family: conv2-fc, widths: [8, 16, 16]}]", "engine.adjoint=kit"]
    plain = taught(tmp_path / "plain", *alike)
    for precision in ("float32", "tf32", "bf16"):
        captured.clear()
        options = [f"run.precision={precision}", f"engine.cuda_graphs={str(graphs).lower()}"]
        other = taught(tmp_path / precision, *alike, *options)
        assert (other.x - plain.x).norm() < 0.4 * plain.x.norm()
        assert bool(captured) == graphs


def test_a_run_that_was_stopped_on_a_gpu_ends_with_the_same_curriculum(tmp_path):
    whole = taught(tmp_path / "whole", "run.device=cuda")
    with pytest.raises(Requeue):
        taught(tmp_path / "stopped", "run.device=cuda", "run.deadline=0.001")
    again = taught(tmp_path / "stopped", "run.device=cuda")
    assert again.digest() == whole.digest()


def test_states_on_the_host_teach_the_same_bits(tmp_path):
    flat = taught(tmp_path / "flat", "run.device=cuda")
    assert taught(tmp_path / "host", "run.device=cuda", "engine.offload=host").digest() == flat.digest()


def test_a_gpu_is_shown_the_augmented_images_of_a_cpu():
    here, there = (load(Data(name="digits"), seed=0, device=device).train for device in ("cpu", "cuda"))
    augment = Augment(crop=2, flip=True, cutout=3)
    for mine, other in zip(*(s.epoch(64, torch_generator(0, "test"), augment) for s in (here, there)), strict=True):
        assert other.x.is_cuda and torch.equal(other.y.cpu(), mine.y)
        torch.testing.assert_close(other.x.cpu(), mine.x)
