"""run.precision sets how products are rounded on a GPU, also where torch's own default differs."""

from collections.abc import Iterator

import pytest
import torch

from gtn_hpc.models.precision import PRECISIONS, use_precision


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.parametrize("name", PRECISIONS)
def test_products_round_to_tf32_where_it_is_asked_for_alone(name: str) -> None:
    use_precision("float32" if name == "tf32" else "tf32")
    found = use_precision(name)
    assert torch.backends.cudnn.allow_tf32 is torch.backends.cuda.matmul.allow_tf32 is (name == "tf32")
    assert found.dtype is (torch.float64 if name == "float64" else torch.float32)
    assert found.autocast is (torch.bfloat16 if name == "bf16" else None)
