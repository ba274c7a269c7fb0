"""Zero-cost proxies beside each score: parameters, FLOPs, synflow, Jacobian covariance."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from search_campaign import campaign, configured, curriculum
from torch.utils.flop_counter import FlopCounterMode

from gtn_hpc.core.records import Architecture, ImageShape
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.curriculum.file import read as read_curriculum
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.networks import build_network
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import read_journals
from gtn_hpc.search.pools import setting_of
from gtn_hpc.training.request import Request

PROXIES = ["params", "flops", "synflow", "jacobian_covariance"]


def with_proxies(place: Path) -> pd.DataFrame:
    place.mkdir()
    curriculum(place / "curriculum.h5")
    campaign(place, "search.budget=2", "search.proxies=[synflow,jacobian_covariance]", "search.certificate.fraction=0")
    with open_scores(place / "campaign" / "scores.h5") as tables:
        return tables.scores


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("proxies") / "first"


@pytest.fixture(scope="module")
def scored(place: Path) -> pd.DataFrame:
    return with_proxies(place)


def untrained(place: Path, arch: str, replica: int) -> tuple[torch.nn.Module, torch.Tensor]:
    """The network of a row before its training, and the first batch of its curriculum."""
    run = RunDirectory(place / "campaign")
    setting = setting_of(configured(place), run, place / "curriculum.h5")
    spec = next(row for row in read_journals(run.journal).architectures if row.arch == arch)
    request = Request(Architecture(spec.space, json.loads(spec.spec)), 3, replica)
    module = build_network(setting.config.search.space, request.arch, ImageShape(1, 8, 8), 10)
    draw = torch_generator(0, "architecture", setting.identity.stream(request))
    return initialise(module, draw), read_curriculum(place / "curriculum.h5").frozen.x[0]


def test_proxies_are_columns_and_come_again(scored: pd.DataFrame, tmp_path: Path) -> None:
    assert len(scored) == 4
    assert np.isfinite(scored[PROXIES]).all(axis=None)
    assert (scored[["params", "flops"]] > 0).all(axis=None)
    assert scored.groupby("arch")[["params", "flops"]].nunique().eq(1).all(axis=None)
    assert scored["synflow"].nunique() == scored["jacobian_covariance"].nunique() == 4
    again = with_proxies(tmp_path / "again")
    pd.testing.assert_frame_equal(scored[["key", *PROXIES]], again[["key", *PROXIES]], check_exact=True)


def test_proxies_are_those_of_the_untrained_network(scored: pd.DataFrame, place: Path) -> None:
    row = scored.iloc[0]
    module, x = untrained(place, row["arch"], int(row["replica"]))
    assert row["params"] == sum(parameter.numel() for parameter in module.parameters())
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        module.eval()(x[:1])
    assert row["flops"] == counted.get_total_flops()
    module.double().train()
    jacobian = torch.autograd.functional.jacobian(lambda images: module(images).sum(0), x.double())
    spectrum = np.linalg.eigvalsh(np.corrcoef(jacobian.sum(0).flatten(1).numpy())) + 1e-5
    assert row["jacobian_covariance"] == pytest.approx(-(np.log(spectrum) + 1 / spectrum).sum(), rel=1e-3)
