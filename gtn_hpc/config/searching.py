"""Sections of the later stages: search and final."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gtn_hpc.config.base import MOST_AT_ONCE, Place, Section
from gtn_hpc.config.teaching import Augment

Positive = Annotated[int, Field(gt=0)]
Proxy = Literal["synflow", "jacobian_covariance"]
"""Zero-cost proxies that can be recorded beside scores."""


class ConvSpace(Section):
    name: Literal["conv"] = Field("conv", description="two convolutions and a hidden layer of any width")
    widths: tuple[tuple[Positive, Positive], tuple[Positive, Positive], tuple[Positive, Positive]] = Field(
        ((32, 128), (64, 256), (64, 256)), description="ranges [low, high) of conv 1, conv 2 and the hidden layer"
    )


class ChainSpace(Section):
    name: Literal["chain"] = Field("chain", description="a chain of layers of any kind and width")
    max_layers: int = Field(6, ge=1, description="most layers before the classifier")
    widths: tuple[Positive, ...] = Field((8, 16, 32, 64), min_length=1, description="channels a layer may have")


class NaoCellSpace(Section):
    name: Literal["nao_cell"] = Field("nao_cell", description="the paper's normal and reduction cell (NAO, ENAS micro)")
    cells: int = Field(3, ge=1, description="normal cells between reductions, N (3N+2 cells in all)")
    filters: int = Field(32, ge=1, description="channels of the first cells, F")
    nodes: int = Field(5, ge=1, description="nodes of a cell")


class NasBench201Space(Section):
    name: Literal["nasbench201"] = Field(
        "nasbench201", description="the cell of NAS-Bench-201, four nodes, five operations"
    )
    cells: int = Field(5, ge=1, description="cells between reductions, N")
    filters: int = Field(16, ge=1, description="channels of the first cells, F")


Space = Annotated[ConvSpace | ChainSpace | NaoCellSpace | NasBench201Space, Field(discriminator="name")]


class RandomSearch(Section):
    name: Literal["random"] = Field("random", description="each architecture drawn anew")


class Evolution(Section):
    name: Literal["evolution"] = Field("evolution", description="regularised (ageing) evolution")
    population: int = Field(50, ge=1, description="architectures alive at a time")
    sample: int = Field(10, ge=1, description="candidates of which the best becomes a parent")
    synchronous: bool = Field(
        False, description="wait for whole generations: the same search for any number of workers"
    )

    @model_validator(mode="after")
    def _sample_of_the_population(self) -> "Evolution":
        if self.sample > self.population:
            raise ValueError(f"sample is {self.sample}, more than population = {self.population}: give at most that")
        return self


class LocalSearch(Section):
    name: Literal["local"] = Field("local", description="climbs from neighbour to neighbour")
    starts: int = Field(10, ge=1, description="random architectures of which the best begins the first climb")


class SuccessiveHalving(Section):
    name: Literal["halving"] = Field("halving", description="few inner steps for many, more for the best")
    first: int = Field(4, ge=1, description="inner steps of the lowest rung")
    eta: int = Field(3, ge=2, description="one in eta goes on, to eta times as many steps")
    asynchronous: bool = Field(True, description="promote whenever a rung allows it (ASHA) rather than rung by rung")


class FixedList(Section):
    name: Literal["list"] = Field("list", description="architectures of a file, one JSON specification a line")
    path: Place = Field(description="the file")


class Nsga2(Section):
    name: Literal["nsga2"] = Field("nsga2", description="NSGA-II (Optuna): accuracy, parameters and FLOPs at once")
    population: int = Field(50, ge=2, description="architectures of a generation")


class Tpe(Section):
    name: Literal["tpe"] = Field("tpe", description="tree of Parzen estimators (Optuna)")
    startup: int = Field(10, ge=1, description="random architectures before the estimators")


Algorithm = Annotated[
    RandomSearch | Evolution | LocalSearch | SuccessiveHalving | FixedList | Nsga2 | Tpe, Field(discriminator="name")
]


NonAdaptive = RandomSearch | FixedList
"""Algorithms that learn nothing from scores: every job that asks them gets the same proposals."""


class Limits(Section):
    """What one evaluation in a child may take; past it the architecture has no score, and the search goes on."""

    seconds: float | None = Field(None, gt=0, description="wall-clock seconds of one evaluation")
    bytes: int | None = Field(None, gt=0, description="memory of one evaluation in bytes (empty: most of what is free)")


class Certificate(Section):
    """Whether the teacher ranks as real data do, measured on a sample of the architectures searched."""

    fraction: float = Field(0.25, ge=0, le=1, description="share of architectures also trained on real data (0: none)")
    minimum: int = Field(8, ge=0, description="at least this many of them (as far as there are so many)")
    steps: int = Field(1200, ge=1, description="real-data steps of the truth (batch and rate of final.recipe)")
    score_at: tuple[Positive, ...] = Field(
        (), description="further steps of the truth after which accuracy is measured: how soon real data rank as well"
    )
    strata: int = Field(4, ge=1, description="strata over the estimate from which they are drawn evenly")
    every: int = Field(
        25, ge=1, description="architectures after whose scores a part of the sample is drawn and trained"
    )
    policy: Literal["warn", "stop", "lengthen"] = Field(
        "warn", description="where the ranking is not trusted: say so, end the search, or double the inner steps"
    )
    floor: float = Field(0.0, ge=-1, le=1, description="trusted is a lower bound of Spearman's rho of at least this")
    controls: tuple[Literal["real_steps", "real_seconds", "real_subset", "untrained"], ...] = Field(
        (), description="other ways to rank the same architectures, trained beside the truth"
    )


class Search(Section):
    space: Space = ConvSpace()
    algorithm: Algorithm = RandomSearch()
    budget: int = Field(100, ge=1, description="distinct architectures to score")
    replicas: int = Field(1, ge=1, description="fresh initialisations of each architecture; their mean is the score")
    curriculum: Place | None = Field(None, description="curriculum file (empty: the run's own)")
    steps: int | None = Field(None, ge=1, description="inner steps (empty: the whole curriculum)")
    score_at: tuple[Positive, ...] = Field(
        (), description="further steps of the inner run after which accuracy is measured"
    )
    pool: Literal["auto", "inprocess", "mpi", "shards", "shared"] = Field(
        "auto",
        description="where evaluations run: this process, ranks of mpiexec under a manager (auto: under mpiexec), "
        "ranks of any launcher that each take every N-th, or any number of jobs that claim one after another (shared)",
    )
    expiry: float = Field(
        120.0, gt=0, description="seconds without a sign of life after which others take a job's work (pool shared)"
    )
    shard: str | None = Field(
        None,
        pattern=r"^\d+/[1-9]\d*$",
        description="INDEX/COUNT: this process's part where pool is shards (empty: by its rank)",
    )
    workers: int = Field(
        1,
        ge=1,
        le=MOST_AT_ONCE,
        description=f"evaluations at the same time in this process, {MOST_AT_ONCE} at most (more than 1: isolated); "
        "a rank under mpiexec does one",
    )
    isolate: bool = Field(True, description="evaluate in a child process, whose end is a status and not ours")
    proxies: tuple[Proxy, ...] = Field((), description="zero-cost proxies that are recorded beside each score")
    fast: Literal["auto", "lean", "traced", "compiled", "graphs", "reference"] = Field(
        "auto",
        description="how a training step runs; part of a score's key, for last bits differ. reference: as in "
        "meta-training; lean: channels last, equal layers once, fused batch norm, flat update; traced, compiled (30 s "
        "an architecture) and graphs (CUDA graphs, else lean): lean, recorded; auto: graphs on a GPU, else lean",
    )
    limits: Limits = Limits()
    chaos: str | None = Field(
        None,
        pattern=r"^(kill|hang|nan|oom|segfault|disk|torn):rank=\d+@eval=[1-9]\d*$",
        description="a failure on purpose, once: KIND:rank=R@eval=N, kinds kill hang nan oom segfault disk torn",
    )
    certificate: Certificate = Certificate()

    @model_validator(mode="after")
    def _shard_of_shards(self) -> "Search":
        if self.shard is not None and self.pool != "shards":
            raise ValueError(
                f"shard is {self.shard}, but with pool={self.pool} each process searches the whole; set "
                "search.pool=shards, or leave shard out (search.shard=null)"
            )
        return self

    @model_validator(mode="after")
    def _limits_of_children(self) -> "Search":
        given = {name: value for name, value in self.limits if value is not None}
        if given and not self.isolated:
            said = ", ".join(f"limits.{name} is {value}" for name, value in given.items())
            out = ", ".join(f"search.limits.{name}=null" for name in given)
            raise ValueError(
                f"{said}, but with isolate=false nothing bounds an evaluation; set search.isolate=true, or give {out}"
            )
        return self

    @property
    def isolated(self) -> bool:
        """Whether evaluations run in children; several at a time in one process always do."""
        return self.isolate or self.workers > 1

    @property
    def in_parts(self) -> bool:
        """Whether this process does a part of the search, beside others and under no manager."""
        return self.pool in ("shards", "shared")


class Recipe(Section):
    """Training on real data; the defaults follow the NAO protocol."""

    lr: float = Field(0.025, gt=0, description="initial learning rate, cosine to zero")
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD momentum")
    weight_decay: float = Field(3e-4, ge=0, description="L2 weight decay")
    clip: float = Field(5.0, gt=0, description="largest gradient norm")
    batch: int = Field(128, ge=2, description="images a step (from 2 on: batch norm has no statistics of one)")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout probability before the classifier")
    drop_path: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="drop-path probability of the last cell in the last epoch: it rises with depth and with the epochs "
        "(cell networks)",
    )
    auxiliary: float = Field(0.0, ge=0, description="weight of the auxiliary head's loss (cell networks)")
    cutout: int = Field(0, ge=0, description="side in pixels of the cut-out square")
    crop: int = Field(0, ge=0, description="random crop after padding by this many pixels")
    flip: bool = Field(False, description="mirror half of the images")
    cells: int | None = Field(None, ge=1, description="N of the final network (empty: that of the search)")
    filters: int | None = Field(None, ge=1, description="F of the final network (empty: that of the search)")

    @property
    def augment(self) -> Augment:
        return Augment(crop=self.crop, flip=self.flip, cutout=self.cutout)


class Final(Section):
    """The best architectures, trained on real data and tested once."""

    top_k: int = Field(1, ge=1, description="best architectures that are trained on real data")
    epochs: int = Field(600, ge=1, description="passes over the training split")
    checkpoint_every: int = Field(10, ge=1, description="epochs between checkpoints of an architecture")
    recipe: Recipe = Recipe()
