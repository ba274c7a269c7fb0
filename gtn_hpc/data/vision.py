"""The one place that imports torchvision: its published wheel fails to import beside a CPU-only torch.

The wheel is a CUDA build, so beside a CPU torch the operators it registers fakes for do not exist. Their schemas are
defined first, only there; reading and downloading image sets needs nothing else of the compiled part.
"""

from functools import cache
from types import ModuleType

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@cache
def datasets() -> ModuleType:
    """`torchvision.datasets`."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    if torch.version.cuda is None:
        for schema in SCHEMAS:
            _define(library, schema)
    import torchvision.datasets

    _LIBRARIES.append(library)
    module: ModuleType = torchvision.datasets
    return module


_LIBRARIES: list[torch.library.Library] = []
"""Keeps the definitions alive: they end with the object."""


def _define(library: torch.library.Library, schema: str) -> None:
    name = schema.partition("(")[0]
    if not hasattr(torch.ops.torchvision, name):
        library.define(schema)
