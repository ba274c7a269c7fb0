"""`gtn evaluate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gtn_hpc.cli import console, judged
from gtn_hpc.cli.failing import crashes_go_to
from gtn_hpc.cli.meter import Meter
from gtn_hpc.cli.options import RUNS, Json, Root, curriculum_of
from gtn_hpc.cli.stopping import require_one_process
from gtn_hpc.core.errors import StorageError, UsageError
from gtn_hpc.core.rundir import RunDirectory

if TYPE_CHECKING:
    import torch

    from gtn_hpc.config import Config
    from gtn_hpc.curriculum.file import CurriculumFile
    from gtn_hpc.meta.room import Judgement


Split = Literal["validation", "test"]


def evaluate(
    teacher: Annotated[
        str, typer.Argument(metavar="RUN|FILE.h5", help="A run, or a curriculum file.", show_default=False)
    ],
    learners: Annotated[
        int | None, typer.Option(min=1, help="Fresh learners (default: evaluate.learners).", show_default=False)
    ] = None,
    split: Annotated[
        Split, typer.Option(help="Images to judge on; the test split is no place to choose by.")
    ] = "validation",
    family: Annotated[
        list[str] | None,
        typer.Option(
            help="Judge by learners of this network family alone; give it again for another family. Widths are those "
            "of CONFIG where it names the family.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Judge with the images and learners of this CONFIG.", show_default=False)
    ] = None,
    real_data: Annotated[
        bool | None,
        typer.Option(
            "--real-data/--no-real-data",
            help="Train the same learners on real data beside it (default: evaluate.real_data.enabled).",
            show_default=False,
        ),
    ] = None,
    real_steps: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Train the same learners on real data for this many steps as well, tuned anew, to see how many reach "
            "the teacher's accuracy; give it again for another number.",
            show_default=False,
        ),
    ] = None,
    root: Root = RUNS,
    as_json: Json = False,
) -> None:
    """Train fresh learners on a curriculum: accuracy after each step, beside real data.

    Where an environment teaches (section rl): returns of fresh policies, beside the same ones untaught.
    The control gets the same learners, steps and batch; its rate and momentum are chosen on validation from a grid.
    The accuracies of a run's curriculum are kept in RUN/evaluations, one file a split and mixture of learners.

    Example: gtn evaluate digits --split test --learners 30

    Example: gtn evaluate digits --real-steps 16 --real-steps 32 --real-steps 64
    """
    require_one_process("gtn evaluate")
    path = curriculum_of(teacher, root)
    with crashes_go_to(path.parent):
        from gtn_hpc.cluster.connect import connect
        from gtn_hpc.curriculum.file import read
        from gtn_hpc.meta.judge import of_families

        taught = read(path)
        settings = _settings(taught, config)
        device, found = connect(settings.run.device).device, dict[str, dict[str, Any]]()
        asked = Asked.of(settings, learners, split, real_data, real_steps)
        for name, judges in list(of_families(settings, family)) if family else [("", settings)]:
            judgement = _judge(taught, judges, device, asked, f"judging {name}".strip())
            found[name] = judged.summary(judgement) | {"file": _kept(path, judges, taught.digest, judgement)}
            if not as_json:
                judged.show(found[name], name)
    if as_json:
        told = {"families": found} if family else {"evaluation": found[""]}
        console.emit({"curriculum": path, "digest": taught.digest, **told})


def _kept(path: Path, judges: "Config", digest: str, judgement: "Judgement") -> Path | None:
    """The file of an evaluation by images; None where the curriculum is not a run's, or its directory is another's."""
    from gtn_hpc.meta.evaluation import Evaluation
    from gtn_hpc.meta.export import record

    run = RunDirectory(path.parent)
    if not isinstance(judgement, Evaluation) or path != run.curriculum or not run.config.is_file():
        return None
    try:
        return record(run, judges, digest, judgement)
    except StorageError as error:
        console.note(f"not kept: {error.what}")
        return None


@dataclass(frozen=True)
class Asked:
    """How to judge."""

    learners: int
    split: Split
    real_data: bool
    longer: tuple[int, ...]

    @classmethod
    def of(
        cls, config: "Config", learners: int | None, split: Split, real_data: bool | None, real_steps: list[int] | None
    ) -> "Asked":
        """What is not given is that of the configuration."""
        control = config.evaluate.real_data.enabled if real_data is None else real_data
        return cls(learners or config.evaluate.learners, split, control, tuple(sorted(set(real_steps or ()))))


def _judge(
    taught: "CurriculumFile", settings: "Config", device: "torch.device", asked: Asked, label: str
) -> "Judgement":
    """By images, or by episodes of the environment, which has no splits; under a meter."""
    if settings.rl is not None:
        _require_no_images(asked)
    with Meter(label, 1) as meter:

        def tell(done: int, total: int) -> None:
            meter.turn_to(label, total)
            meter.reach(done)

        if settings.rl is None:
            from gtn_hpc.meta.judge import judge

            return judge(taught, settings, device, tell=tell, **vars(asked))
        from gtn_hpc.meta.judge_policies import judge_policies

        return judge_policies(taught, settings, device, policies=asked.learners, tell=tell)


def _require_no_images(asked: Asked) -> None:
    """Of an environment nothing is asked that only image sets have."""
    if asked.split != "validation":
        raise UsageError("An environment has no splits to judge on.", remedy="Leave --split out.")
    if asked.longer:
        raise UsageError("An environment has no real data to train on.", remedy="Leave --real-steps out.")


def _settings(taught: "CurriculumFile", config: Path | None) -> "Config":
    from gtn_hpc.config import load
    from gtn_hpc.meta.judge import config_of

    return config_of(taught) if config is None else load(config)
