"""Judging a curriculum file, ours or anybody's, and writing it anew."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch

from gtn_hpc.config import Config, parse
from gtn_hpc.config.teaching import Inner, Learner
from gtn_hpc.core.errors import UsageError, nearest
from gtn_hpc.curriculum.file import CurriculumFile
from gtn_hpc.curriculum.fitting import fitted
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data import Splits, load
from gtn_hpc.meta.evaluation import Evaluation, evaluate_teacher
from gtn_hpc.meta.export import export, read_evaluation
from gtn_hpc.meta.pupil import Tell, nobody
from gtn_hpc.models.precision import PRECISIONS, use_precision


def config_of(taught: CurriculumFile) -> Config:
    """The configuration of the run that made the file; its image set is looked for where it is now, see `Data.present`.

    Raises:
        UsageError: the file carries none.
    """
    if not taught.config.strip():
        raise UsageError(
            f"{taught.path} does not carry the configuration that it was made with.",
            remedy="Name one with --config CONFIG: it says which images and which learners to judge it with.",
        )
    config = parse(taught.config, where=f"The configuration in {taught.path}")
    return config.model_copy(update={"data": config.data.present})


def judge(
    taught: CurriculumFile,
    config: Config,
    device: torch.device,
    *,
    learners: int,
    split: str,
    real_data: bool,
    longer: Sequence[int] = (),
    tell: Tell = nobody,
) -> Evaluation:
    """Fresh learners of `config` on the curriculum with its own inner optimiser, beside the real-data control; and
    beside real data for each number of steps in `longer`. `tell` hears of the work done, in training
    steps.

    Raises:
        DataError: the images of `config` are missing, of another size than the curriculum's, or taught it themselves.
    """
    torch.set_num_threads(config.run.threads)
    config, splits = with_optimiser(config, taught), _images(config, device)
    frozen = fitted(taught, splits, config).to(device, PRECISIONS[config.run.precision].dtype)
    return evaluate_teacher(
        config, frozen, splits, learners=learners, split=split, real_data=real_data, longer=longer, tell=tell
    )


def of_families(config: Config, families: Sequence[str]) -> Iterator[tuple[str, Config]]:
    """For each family `config` with learners of that family alone: as it has them, or of the default widths.

    Raises:
        UsageError: there is no such family.
    """
    known = get_args(Learner.model_fields["family"].annotation)
    for family in dict.fromkeys(families):
        if family not in known:
            raise UsageError(f"There is no family of learners '{family}'.", remedy=nearest(family, known))
        own = tuple(section for section in config.learners if section.family == family)
        yield family, config.model_copy(update={"learners": own or (Learner(family=family),)})


def reencode(taught: CurriculumFile, path: Path, dtype: str, device: torch.device, passes: int = 1) -> None:
    """Writes the curriculum to `path` with images of `dtype`, `passes` times over; the accuracy stored is that of what
    is written.

    The real-data control does not depend on the images: with one pass it is taken over, with more there is none.
    """
    config = config_of(taught)
    torch.set_num_threads(config.run.threads)
    if config.rl is not None:
        from gtn_hpc.meta.judge_policies import reencode_policies

        reencode_policies(taught, config, path, dtype, device, passes)
        return
    splits, before = _images(config, device), read_evaluation(taught.path)
    rounded = rounded_to(dtype, fitted(taught, splits, config)).repeated(passes).to(device)
    after = None
    if before is not None:
        config = with_optimiser(config, taught)
        found = evaluate_teacher(
            config,
            rounded.to(device, PRECISIONS[config.run.precision].dtype),
            splits,
            learners=len(before.teacher),
            split=before.split,
            real_data=False,
        )
        after = replace(found, control=before.control if passes == 1 else None)
    export(path, config, splits, rounded, after, dtype)


def _images(config: Config, device: torch.device) -> Splits:
    return load(config.data, seed=config.run.seed, device=device, dtype=use_precision(config.run.precision).dtype)


def rounded_to(dtype: str, own: Frozen) -> Frozen:
    """The curriculum with images that a file of `dtype` can hold."""
    return own.showing(own.x.to(getattr(torch, dtype)).to(own.x.dtype))


def with_optimiser(config: Config, taught: CurriculumFile) -> Config:
    """`config` with the inner optimiser that the file states."""
    stated = taught.description.optimiser
    return config.model_copy(update={"inner": Inner.model_validate(stated)}) if stated else config
