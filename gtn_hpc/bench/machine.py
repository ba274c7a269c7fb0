"""Where a benchmark computes, and in what arithmetic."""

from dataclasses import dataclass

import torch

from gtn_hpc.cluster.device import choose, enter
from gtn_hpc.cluster.environment import ALONE
from gtn_hpc.core.errors import UsageError, nearest
from gtn_hpc.models.precision import PRECISIONS, use_precision


@dataclass(frozen=True)
class Machine:
    """A device and a `run.precision`."""

    device: str = "cpu"
    precision: str = "float32"

    @property
    def dtype(self) -> torch.dtype:
        return PRECISIONS[self.precision].dtype

    @property
    def autocast(self) -> torch.dtype | None:
        return PRECISIONS[self.precision].autocast

    @property
    def cuda(self) -> bool:
        return self.device.startswith("cuda")

    def require(self) -> None:
        """Raises UsageError where there is no such device or precision."""
        if self.precision not in PRECISIONS:
            raise UsageError(f"There is no precision '{self.precision}'.", remedy=nearest(self.precision, PRECISIONS))
        if self.device == "cpu":
            return
        if not self.cuda or not torch.cuda.is_available():
            there = "cuda" if torch.cuda.is_available() else "no GPU"
            raise UsageError(f"There is no device '{self.device}' here ({there}).", remedy="Use --device cpu.")

    def use(self) -> None:
        """One thread, the precision's flags, and the device as the current one, to which CUDA graphs belong."""
        enter(choose(self.device, ALONE))
        torch.set_num_threads(1)
        use_precision(self.precision)

    def wait(self) -> None:
        """Until all that was launched is done."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    @property
    def name(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.cuda else "cpu, one thread"


CPU = Machine()
FLOAT64 = Machine(precision="float64")
