"""The trained networks of winners: kept by the final stage, and loaded again."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from torch import Tensor

from gtn_hpc.checkpoint import Loaded, latest, save
from gtn_hpc.config import Config, dump, parse
from gtn_hpc.core.errors import RunError
from gtn_hpc.core.records import Architecture, ImageShape
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.data import Splits
from gtn_hpc.final.winner import Winner, space_of
from gtn_hpc.models.networks import Network, build_network
from gtn_hpc.models.norm import RUNNING, use_running_statistics
from gtn_hpc.models.precision import PRECISIONS


@dataclass(frozen=True, eq=False)
class TrainedWinner:
    """A winner at its best epoch: `network` gives logits [N, K] of images [N, C, H, W] whose pixels (fractions of full
    white) had `mean` [C] subtracted and were divided by `std` [C]."""

    network: Network
    arch: Architecture
    place: int | None
    """By estimate among all that the run had scored at the last gtn final, from 1; None where it had no estimate."""
    epoch: int
    val_accuracy: float
    test_accuracy: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]


def network_of(config: Config, arch: Architecture, image: ImageShape, classes: int) -> Network:
    """The network that the final stage trains, on the CPU and without values of its own."""
    recipe = config.final.recipe
    network = build_network(
        space_of(config),
        arch,
        image,
        classes,
        dropout=recipe.dropout,
        drop_path=recipe.drop_path,
        auxiliary=recipe.auxiliary > 0,
    ).to(PRECISIONS[config.run.precision].dtype)
    use_running_statistics(network, RUNNING)
    return network


def keep(
    directory: Path, config: Config, splits: Splits, winner: Winner, best: dict[str, Tensor], told: dict[str, float]
) -> None:
    """Writes the weights of the best epoch below `directory`; `told` are its epoch and accuracies.

    Raises:
        CheckpointError: the disk does not take them.
    """
    meta = {
        "config": dump(config),
        "arch": winner.arch.to_json(),
        "place": winner.place,
        "image": list(astuple(splits.shape)),
        "classes": list(splits.class_names),
        "mean": splits.train.mean.tolist(),
        "std": splits.train.std.tolist(),
        **told,
    }
    save(directory / winner.arch.digest, int(told["epoch"]), {"network": best}, meta, keep=1)


def load_winner(run: RunDirectory | str | Path, which: int | str = 1) -> TrainedWinner:
    """A winner of the run directory `run` by its place, from 1, or by the beginning of its digest; on the CPU, in
    evaluation mode. Cost: reading all winners' weights.

    Raises:
        RunError: there is no such winner, or several.
        CheckpointError: its file is damaged.
    """
    run = run if isinstance(run, RunDirectory) else RunDirectory(Path(run))
    found = {path.name: loaded for path in sorted(run.winners.glob("*")) if (loaded := latest(path)) is not None}
    places = _places(run, found)
    chosen = _chosen(run.winners, places, which)
    return _rebuilt(found[chosen], places[chosen])


def _places(run: RunDirectory, found: Mapping[str, Loaded]) -> dict[str, int | None]:
    """Digest -> place as gtn final told it last; where it never did, that of the training."""
    told = run.read_state()["stages"].get("final", {}).get("places")
    return {arch: loaded.meta["place"] if told is None else told.get(arch) for arch, loaded in found.items()}


def _chosen(directory: Path, places: Mapping[str, int | None], which: int | str) -> str:
    chosen = [
        arch for arch, place in places.items() if (place == which if isinstance(which, int) else arch.startswith(which))
    ]
    if len(chosen) != 1:
        there = ", ".join(f"{place or 'no place'}: {arch}" for arch, place in places.items()) or "none"
        raise RunError(
            f"{len(chosen) or 'No'} winners in {directory} are called {which!r}; there are {there}.",
            remedy="Name a place or the beginning of a digest; gtn final trains winners and keeps them.",
        )
    return chosen[0]


def _rebuilt(loaded: Loaded, place: int | None) -> TrainedWinner:
    meta = loaded.meta
    config = parse(meta["config"], where=f"The configuration in {loaded.path}")
    arch = Architecture.from_json(meta["arch"])
    network = network_of(config, arch, ImageShape(*meta["image"]), len(meta["classes"]))
    network.load_state_dict(loaded.tensors["network"])
    network.eval().requires_grad_(False)
    return TrainedWinner(
        network=network,
        arch=arch,
        place=place,
        epoch=meta["epoch"],
        val_accuracy=meta["val_accuracy"],
        test_accuracy=meta["test_accuracy"],
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        classes=tuple(meta["classes"]),
    )
