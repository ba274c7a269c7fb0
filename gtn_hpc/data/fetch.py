"""Downloads for a login node; compute nodes never download."""

from pathlib import Path
from urllib.error import URLError

from gtn_hpc.config.teaching import Data
from gtn_hpc.core.errors import DataError, UsageError, nearest
from gtn_hpc.data import vision
from gtn_hpc.data.catalogue import KNOWN, NAMES, find
from gtn_hpc.data.places import Missing, cache

CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10"}


def fetch(name: str, root: str | None = None) -> str:
    """Makes sure that the named set is there and whole, and returns where it lies.

    A set that is found whole (below `root`, or at the usual places) is kept; else torchvision downloads what is missing
    to `root`, or to the first place of GTN_DATA, or to the user's cache, and checks its sums.

    Raises:
        UsageError: no set of that name can be fetched.
        DataError: the set is damaged, or could not be downloaded.
    """
    if name not in NAMES:
        raise UsageError(f"'{name}' is not a set that can be fetched", remedy=nearest(name, NAMES))
    try:
        return find(Data(name=name, root=root)).found
    except Missing:
        _download(name, cache() if root is None else Path(root).expanduser())
    return find(Data(name=name, root=root)).found


def _download(name: str, place: Path) -> None:
    ways = "".join(f"\n    {way}" for way in KNOWN[name].get)
    try:
        place.mkdir(parents=True, exist_ok=True)
        for train in (True, False):
            getattr(vision.datasets(), CLASSES[name])(str(place), train=train, download=True)
    except (URLError, RuntimeError, OSError) as error:
        raise DataError(
            f"{name} could not be downloaded to {place}: {error}",
            remedy=f"Without internet, get it elsewhere and say where it is with data.root or GTN_DATA:{ways}",
        ) from None
