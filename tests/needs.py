"""What a test needs that not every machine has; without it the test is skipped, and says so."""

import pytest
import torch

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, as in benchmarks/2026-11-27-gpu.md")
TWO_GPUS = pytest.mark.skipif(
    torch.cuda.device_count() < 2, reason="needs two GPUs: a device that is not the current one has to be used"
)
