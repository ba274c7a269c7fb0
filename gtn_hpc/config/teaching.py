"""Sections of the first stage: run, data, learners, teacher, inner, engine, meta, evaluate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gtn_hpc.config.base import MOST_AT_ONCE, Place, Section
from gtn_hpc.config.families import FIXED, RANGES, Family
from gtn_hpc.core.records import canonical_json
from gtn_hpc.core.rundir import RunDirectory

Width = Annotated[int, Field(gt=0)] | tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]


UnquotedNo = BeforeValidator(lambda value: "no" if value is False else value)
"""YAML reads a bare `no` as false."""


NAMES = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What names of runs look like, as a pattern."""

SETS = ("digits", "mnist", "fashion_mnist", "cifar10")
"""The image sets that have a name; others are known by their paths."""


class Run(Section):
    name: str = Field(pattern=NAMES, description="name of the run and of its directory")
    root: Place = Field("runs", description="directory that holds run directories")
    seed: int = Field(0, ge=0, description="seed of every random stream of the run")
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto (the rank's GPU, else cpu), cpu, cuda or cuda:N"
    )
    precision: Literal["float32", "float64", "tf32", "bf16"] = Field(
        "float32", description="arithmetic; tf32: float32 with products rounded to TF32 on a GPU that has it"
    )
    threads: int = Field(
        1,
        ge=1,
        le=MOST_AT_ONCE,
        description=f"CPU threads of each process, {MOST_AT_ONCE} at most (more than its cores slow it down); results "
        "depend on it in the last bits",
    )
    timeout: float = Field(600, gt=0, description="seconds that ranks wait for each other before they give up")
    deadline: float | None = Field(
        None, gt=0, description="seconds after its start when a stage saves and asks for a requeue (empty: never)"
    )
    margin: float = Field(60, ge=0, description="seconds before the time limit of a Slurm job when it does the same")

    @property
    def directory(self) -> RunDirectory:
        """Where the files of the run lie, there or not."""
        return RunDirectory(Path(self.root) / self.name)


class Augment(Section):
    """Changes to real training images: under `data` to those of the meta-loss, under `final.recipe` to those that train
    winners and truths; drawn anew each time one is shown."""

    crop: int = Field(0, ge=0, description="random crop after padding by this many pixels")
    flip: bool = Field(False, description="mirror half of the images left to right")
    cutout: int = Field(0, ge=0, description="side in pixels of a square set to zero (the mean)")


ENDINGS = (".gz", ".npz", ".h5", ".hdf5", ".idx3-ubyte")
"""Of files that hold an own image set."""


def without_ending(name: str) -> str:
    """What results on the own image set in the file `name` are filed under; other dots are part of it."""
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name


class Data(Section):
    name: str = Field("digits", description="digits, mnist, fashion_mnist, cifar10, or the path of an own image set")
    root: str | None = Field(
        None,
        description="directory or file of the set, where it is not at its usual place (may differ between two starts, "
        "but for an own set whose path begins there)",
    )
    validation: float = Field(0.1, gt=0, description="share (< 1) or number of training images held out to choose by")
    test: float = Field(0.2, gt=0, description="share (< 1) or number of images for the test, where the set has none")
    train: int | None = Field(None, gt=0, description="use only this many training images (all if empty)")
    seed: int | None = Field(
        None, ge=0, description="seed of the split into training and held-out images (empty: run.seed)"
    )
    augment: Augment = Augment()

    @property
    def identity(self) -> dict[str, Any]:
        """What an accuracy depends on, as JSON: without the place of the set and the meta-loss's changes."""
        beside = {"root", "augment"} | ({"seed"} if self.seed is None else set())
        return self.model_dump(mode="json", exclude=beside)

    @property
    def place(self) -> Path | None:
        """Where an own set lies, which says which one it is; None of a named set, which may lie anywhere."""
        return None if self.name in SETS else Path(self.root or "").expanduser() / Path(self.name).expanduser()

    @property
    def present(self) -> "Data":
        """The same; of a named set without a `root` that is gone, so that it is looked for at its usual places."""
        gone = self.place is None and self.root is not None and not Path(self.root).expanduser().exists()
        return self.model_copy(update={"root": None}) if gone else self

    def training_split(self, run: int) -> str:
        """What says which images teach in a run of the seed `run`, as canonical JSON."""
        parts = self.model_dump(mode="json", include={"name", "validation", "test", "train"})
        return canonical_json(parts | {"place": self.place and str(self.place), "seed": self.seed_of(run)})

    def seed_of(self, run: int) -> int:
        """The seed of the split in a run of the seed `run`."""
        return run if self.seed is None else self.seed

    @field_validator("validation", "test")
    @classmethod
    def _share_or_count(cls, value: float) -> float:
        if value >= 1 and value != int(value):
            raise ValueError("a value of 1 or more counts images and has no fraction")
        if value == 1:
            raise ValueError("one image is none to judge by: a share is below 1, a number of images 2 or more")
        return value


class Learner(Section):
    """One part of the mixture of learners: a part is drawn by its weight for each learner, then the widths."""

    family: Family = Field("conv2-fc", description="network family of the learner")
    weight: float = Field(1.0, gt=0, description="relative frequency in the mixture")
    widths: Literal["fixed", "random"] | tuple[Width, ...] = Field(
        "random",
        description="fixed (the family's), random (the paper's ranges), or a size or [low, high) per hidden layer",
    )
    width_quantum: int = Field(8, ge=1, description="drawn widths are multiples of this, so that shapes repeat")
    norm: Literal["batch", "mean_only", "none"] = Field("batch", description="batch norm: full, mean-only or none")
    weight_norm: bool = Field(True, description="weight normalisation of every layer with weights")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout probability before the classifier")
    head_scale: float = Field(1.0, gt=0, description="scale of the last layer's initial weights")

    @field_validator("widths")
    @classmethod
    def _ranges_rise(cls, value: object) -> object:
        for width in value if isinstance(value, tuple) else ():
            if isinstance(width, tuple) and width[0] >= width[1]:
                raise ValueError(f"a range [low, high) needs low < high, not {list(width)}")
        return value

    @model_validator(mode="after")
    def _ranges_hold_multiples(self) -> "Learner":
        for width in self.ranges:
            if isinstance(width, tuple) and not multiples(*width, self.width_quantum):
                whose = f" of the family {self.family}" if self.widths == "random" else ""
                raise ValueError(
                    f"no multiple of width_quantum = {self.width_quantum} lies in the range [low, high) {list(width)}"
                    f"{whose}; give a smaller width_quantum, or wider ranges (widths)"
                )
        return self

    @model_validator(mode="after")
    def _as_many_as_hidden_layers(self) -> "Learner":
        given, layers = len(self.ranges), len(FIXED[self.family])
        if given != layers:
            raise ValueError(
                f"the family {self.family} has {layers} hidden layers, widths has {given}: give {layers} sizes or "
                "ranges, or fixed or random"
            )
        return self

    @property
    def ranges(self) -> tuple[Width, ...]:
        """Size or range [low, high) of each hidden layer."""
        if self.widths == "fixed":
            return FIXED[self.family]
        return RANGES[self.family] if self.widths == "random" else self.widths


def multiples(low: int, high: int, quantum: int) -> range:
    """Of `quantum`, from `low` to below `high`."""
    return range(-(-low // quantum) * quantum, high, quantum)


class Generator(Section):
    noise: int = Field(128, ge=1, description="size of a latent vector")
    hidden: int = Field(1024, ge=1, description="units of the first layer")
    channels: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] = Field(
        (128, 64), description="channels at a quarter and at half of the image size"
    )
    weight_norm: bool = Field(True, description="weight normalisation of the fully connected layers")


class Curriculum(Section):
    """T batches of B synthetic images, and what of them is learned."""

    arm: Literal["full", "shuffled_batch", "all_shuffled", "none", "fixed_latents", "distilled_pixels", "real_data"] = (
        Field("full", description="what is learned and in which order it is shown (paper section 3.3)")
    )
    steps: int = Field(32, ge=1, description="inner steps T")
    batch: int = Field(128, ge=1, description="synthetic images a step, B")
    cycle: int | None = Field(
        None, ge=1, description="batches that differ, shown in turn and again: few images, many steps (empty: T)"
    )
    start: Literal["auto", "noise", "real"] = Field(
        "auto", description="random images, or fitted to real training images (auto: real, where the arm has its own)"
    )
    start_passes: int = Field(100, ge=1, description="passes over the curriculum that fit a generator to real images")
    labels: Literal["even", "learned"] = Field("even", description="fixed balanced classes, or soft learned labels")

    @model_validator(mode="after")
    def _batch_for_statistics(self) -> "Curriculum":
        if self.batch == 1 and self.arm not in ("distilled_pixels", "real_data"):
            raise ValueError("batch is 1, but the generator's batch norm needs 2 images or more")
        return self

    @model_validator(mode="after")
    def _cycle_of_own_images(self) -> "Curriculum":
        if self.cycle is not None and self.cycle > self.steps:
            raise ValueError(f"cycle is {self.cycle}, more than steps = {self.steps}")
        if self.cycle is not None and not self.has_images:
            raise ValueError(f"cycle needs an arm with images of its own; {self.arm} draws new ones at each step")
        return self

    @property
    def has_images(self) -> bool:
        """Whether the arm shows images of its own, not new ones at each step."""
        return self.arm not in ("none", "real_data")

    @property
    def from_real(self) -> bool:
        """Whether image sets teach from a start that is fitted to real images."""
        return self.start == "real" or (self.start == "auto" and self.has_images)


class Teacher(Section):
    generator: Generator = Generator()
    curriculum: Curriculum = Curriculum()


class Inner(Section):
    """How a learner is trained: its optimiser, and where rate and momentum begin."""

    optimiser: Literal["sgd", "rmsprop", "adam"] = Field("sgd", description="optimiser of the learner")
    lr: float = Field(0.02, gt=0, description="initial inner learning rate")
    momentum: float = Field(0.5, ge=0, lt=1, description="initial inner momentum (Adam: beta1)")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the second moment (RMSProp: alpha)")
    eps: float = Field(1e-8, gt=0, description="term added to the root of the second moment")
    learn: Annotated[Literal["per_step", "scalar", "no"], UnquotedNo] = Field(
        "per_step", description="what the teacher learns of rate and momentum"
    )
    intermediate_every: int = Field(0, ge=0, description="add the real loss after every k inner steps (0: last only)")


class Reinforcement(Section):
    """The task where learners are policies: their environment, and the actor-critic loss that is the meta-loss."""

    environment: str = Field("CartPole-v1", description="name of the environment in gymnasium")
    copies: int = Field(16, ge=1, description="copies of it that a learner plays side by side")
    limit: int | None = Field(
        None,
        ge=1,
        description="steps after which an episode is cut in teaching (empty: the environment's); judging: rl.horizons",
    )
    scale: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        None, description="unit of each number of an observation (empty: its spread under a policy of chance)"
    )
    discount: float = Field(0.99, ge=0, lt=1, description="worth of a reward one step later")
    trace: float = Field(0.95, ge=0, le=1, description="lambda of generalised advantage estimation")
    standardise: bool = Field(True, description="advantages of a rollout get mean 0 and standard deviation 1")
    entropy: float = Field(0.01, ge=0, description="weight of the policy's entropy in the meta-loss")
    critic: tuple[Annotated[int, Field(gt=0)], ...] = Field((64, 64), description="hidden layers of the critic")
    critic_weight: float = Field(0.5, gt=0, description="weight of the critic's loss beside the policy's")
    horizons: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        (200, 500), min_length=1, description="lengths of the episodes that policies are judged by, in steps"
    )
    episodes: int = Field(10, ge=1, description="episodes of each policy that is judged")
    choice: Literal["drawn", "likeliest"] = Field("drawn", description="actions of a policy that is judged")


class Engine(Section):
    """How meta-gradients are made. Engines differ in time and memory; in the gradient by rounding, but for a window."""

    name: Literal["trajectory", "unrolled", "higher"] = Field("trajectory", description="how meta-gradients are made")
    adjoint: Literal["auto", "reverse", "traced", "compiled", "kit"] = Field(
        "auto", description="single-step adjoint of the trajectory engine"
    )
    cuda_graphs: bool = Field(
        False, description="launch each traced step and its adjoint as one CUDA graph (a GPU; learners without dropout)"
    )
    memory_budget: int | None = Field(None, gt=0, description="bytes the trajectory engine may keep (empty: flat)")
    window: int | None = Field(None, ge=1, description="differentiate only the last W inner steps")
    offload: Annotated[Literal["no", "host", "recompute"], UnquotedNo] = Field(
        "no", description="where the trajectory is kept"
    )

    @model_validator(mode="after")
    def _no_option_in_vain(self) -> "Engine":
        fields = type(self).model_fields.items()
        given = [key for key, field in fields if key != "name" and getattr(self, key) != field.default]
        if self.name != "trajectory" and given:
            raise ValueError(
                f"{', '.join(given)}: options of the engine trajectory, not of {self.name}; leave them out, or set "
                "engine.name=trajectory"
            )
        if self.cuda_graphs and self.adjoint in ("reverse", "compiled"):
            raise ValueError(f"cuda_graphs needs adjoint auto, traced or kit; {self.adjoint} records no such graphs")
        return self


class Meta(Section):
    iterations: int = Field(2000, ge=1, description="meta-iterations")
    replicas: int = Field(1, ge=1, description="learners whose meta-gradients are averaged, R")
    batch: int = Field(128, ge=1, description="real images of a meta-loss; with rl, steps of all copies together")
    lr: float = Field(0.01, gt=0, description="learning rate of the outer Adam")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.999), description="decay rates of the outer Adam"
    )
    eps: float = Field(1e-8, gt=0, description="eps of the outer Adam")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="schedule of the outer learning rate")
    final_lr: float = Field(0.1, gt=0, le=1, description="where the cosine ends, as a fraction of lr")
    clip: float | None = Field(None, gt=0, description="largest norm of the meta-gradient")
    average: float | None = Field(
        None, gt=0, lt=1, description="decay of the teacher's moving average, which is then judged and exported"
    )
    checkpoint_every: int = Field(100, ge=1, description="meta-iterations between checkpoints")
    checkpoint_minutes: float = Field(10, gt=0, description="minutes between checkpoints at most")
    keep: int = Field(3, ge=1, description="checkpoints that are kept")
    log_every: int = Field(10, ge=1, description="meta-iterations between logged events")
    images_every: int = Field(200, ge=1, description="meta-iterations between TensorBoard images")
    max_refused: int = Field(
        10, ge=1, description="non-finite meta-gradients in a row before going back to the last checkpoint"
    )
    max_returns: int = Field(3, ge=0, description="times a run may go back, each with fresh streams, before it stops")
    compare_every: int = Field(
        100, ge=1, description="meta-iterations between comparisons of the teacher over all ranks"
    )
    reduction: Literal["fast", "ordered"] = Field("fast", description="ordered: bit-identical for any number of ranks")


class RealData(Section):
    """The control: learning rate and momentum of real data are tuned on a grid before it is compared."""

    enabled: bool = Field(True, description="train the same learners on real data, same steps and batch")
    lr: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4), min_length=1, description="learning rates tried on validation"
    )
    momentum: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(
        (0.0, 0.5, 0.9), min_length=1, description="momenta tried on validation"
    )
    tune_learners: int = Field(4, ge=1, description="learners of each grid point")


class Evaluate(Section):
    """How a teacher is judged: by learners that it has never taught."""

    every: int | None = Field(None, ge=1, description="meta-iterations between evaluations during training")
    learners: int = Field(10, ge=1, description="fresh learners of an evaluation")
    during: int = Field(4, ge=1, description="fresh learners of an evaluation during training")
    real_data: RealData = RealData()


class Teaching(Section):
    """The sections that the teacher depends on."""

    run: Run
    data: Data = Data()
    learners: tuple[Learner, ...] = Field((Learner(),), min_length=1, description="mixture the teacher is taught on")
    teacher: Teacher = Teacher()
    inner: Inner = Inner()
    engine: Engine = Engine()
    meta: Meta = Meta()
    evaluate: Evaluate = Evaluate()
    rl: Reinforcement | None = Field(None, description="teach by an environment instead of by an image set")

    @model_validator(mode="after")
    def _fit_for_environments(self) -> "Teaching":
        if self.rl is not None:
            for wrong in _misfits(self, self.rl):
                raise ValueError(wrong)
        return self


def _misfits(whole: Teaching, rl: Reinforcement) -> Iterator[str]:
    """What else a configuration with `rl` must say."""
    curriculum = whole.teacher.curriculum
    if any(learner.family != "linear" for learner in whole.learners):
        yield "with rl, learners see vectors of numbers: the only family for them is linear"
    if curriculum.arm == "real_data" or curriculum.start == "real":
        yield "with rl there are no real images: teacher.curriculum needs start: noise and an arm other than real_data"
    if whole.meta.batch % rl.copies:
        yield f"with rl, meta.batch has to be a multiple of rl.copies; {whole.meta.batch} is none of {rl.copies}"
