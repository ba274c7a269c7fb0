"""`gtn evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gtn_hpc.cli import console, judged
from gtn_hpc.cli.failing import crashes_go_to
from gtn_hpc.cli.options import RUNS, Json, Root, curriculum_of
from gtn_hpc.core.errors import UsageError

if TYPE_CHECKING:
    import torch

    from gtn_hpc.config import Config
    from gtn_hpc.curriculum.file import CurriculumFile
    from gtn_hpc.meta.room import Judgement


def evaluate(
    teacher: Annotated[
        str, typer.Argument(metavar="RUN|FILE.h5", help="A run, or a curriculum file.", show_default=False)
    ],
    learners: Annotated[
        int | None, typer.Option(min=1, help="Fresh learners (default: evaluate.learners).", show_default=False)
    ] = None,
    split: Annotated[
        Literal["validation", "test"], typer.Option(help="Images to judge on; the test split is no place to choose by.")
    ] = "validation",
    config: Annotated[
        Path | None, typer.Option(help="Judge with the images and learners of this CONFIG.", show_default=False)
    ] = None,
    real_data: Annotated[bool, typer.Option(help="Train the same learners on real data beside it.")] = True,
    root: Root = RUNS,
    as_json: Json = False,
) -> None:
    """Train fresh learners on a curriculum: accuracy after each step, beside real data.

    Where an environment teaches (section rl): returns of fresh policies, beside the same ones untaught.
    The control gets the same learners, steps and batch; its rate and momentum are chosen on validation from a grid.

    Example: gtn evaluate digits --split test --learners 30
    """
    path = curriculum_of(teacher, root)
    with crashes_go_to(path.parent):
        from gtn_hpc.cluster.connect import connect
        from gtn_hpc.curriculum.file import read

        taught = read(path)
        settings = _settings(taught, config)
        device, count = connect(settings.run.device).device, learners or settings.evaluate.learners
        found = _judge(taught, settings, device, count, split, real_data=real_data)
    numbers = judged.summary(found)
    if as_json:
        console.emit({"curriculum": path, "digest": taught.digest, "evaluation": numbers})
    else:
        judged.show(numbers)


def _judge(
    taught: "CurriculumFile", settings: "Config", device: "torch.device", count: int, split: str, *, real_data: bool
) -> "Judgement":
    """By images, or by episodes of the environment, which has no splits."""
    if settings.rl is not None:
        if split != "validation":
            raise UsageError("An environment has no splits to judge on.", remedy="Leave --split out.")
        from gtn_hpc.meta.judge_policies import judge_policies

        return judge_policies(taught, settings, device, policies=count)
    from gtn_hpc.meta.judge import judge

    return judge(taught, settings, device, learners=count, split=split, real_data=real_data)


def _settings(taught: "CurriculumFile", config: Path | None) -> "Config":
    from gtn_hpc.config import load
    from gtn_hpc.meta.judge import config_of

    return config_of(taught) if config is None else load(config)
