"""The scaling bench with real ranks: its rows, and the projection's arithmetic. No assertion on time."""

import json
import math
import sys

import pytest

from gtn_hpc.bench import scaling
from gtn_hpc.bench.ranks import Measured
from gtn_hpc.core.errors import UsageError


def test_two_ranks_are_measured_beside_one_and_two_strangers(launch, root):
    command = [sys.executable, "-m", "gtn_hpc", "bench", "scaling", "--workload", "overhead", "--repeats", "2"]
    done = launch([*command, "--seconds", "0.01", "--json"], timeout=240, environ={"OMP_NUM_THREADS": "1"}, cwd=root)
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["bench"], report["workload"]) == ("scaling", "overhead")
    one, two, *projected = report["rows"]
    assert (one["ranks"], one["efficiency"]) == (1, 1.0)
    assert two["ranks"] == 2 and two["efficiency"] > 0 and two["gradient_bytes"] > 0
    assert min(two["seconds"].values()) > 0
    shares = (two["comm_fraction"], two["speedup"], two["speedup_independent"])
    parts = (("exchanges", "two_ranks"), ("one_rank", "two_ranks"), ("one_rank", "independent"))
    assert shares == pytest.approx([two["seconds"][a] / two["seconds"][b] for a, b in parts], rel=0.01, abs=1e-3)
    assert [row["ranks"] for row in projected] == [8, 64, 512]
    assert all(row["projected"] for row in projected) and report["assumptions"]


def test_the_projection_is_what_its_assumptions_say():
    measured = Measured(one_rank=2.0, two_ranks=1.1, independent=1.0, exchanges=0.01)
    row = scaling._projected("digits", 8, measured, 10**9)
    exchange = 2 * 7 / 8 * 1e9 / 25e9 + 2 * 2 * 3 * 20e-6
    assert row["exchange_seconds"] == pytest.approx(exchange)
    assert row["efficiency"] == pytest.approx(1 / (1 + exchange), abs=1e-4)
    assert row["efficiency_fast_gpu"] == pytest.approx((1 / 50) / (1 / 50 + exchange), abs=1e-4)
    efficiencies = [scaling._projected("digits", ranks, measured, 10**9)["efficiency"] for ranks in scaling.GPUS]
    assert efficiencies == sorted(efficiencies, reverse=True) and not any(map(math.isnan, efficiencies))


def test_an_unknown_workload_is_refused_with_the_valid_ones():
    with pytest.raises(UsageError, match="digits") as caught:
        scaling.run(("digit",))
    assert "'digits'" in caught.value.remedy
