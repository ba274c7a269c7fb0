"""What the page says where work was done and all of it failed: not that it was never done."""

import numpy as np
import pytest
from report_runs import Sizes, configured, whole_run

from gtn_hpc.config.claim import claim
from gtn_hpc.report import page
from gtn_hpc.report.blocks import Missing, Prose
from gtn_hpc.report.evidence import gather
from gtn_hpc.report.sections import search, trust

FAILED = {"status": "crashed", "val_accuracy": np.nan}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Twelve architectures scored, six of them trained on real data as well."""
    return whole_run(tmp_path_factory.mktemp("failed"), "failed", Sizes(12, 6, 0))


@pytest.mark.parametrize("author", [search.best, search.searched, search.costly, trust.certified])
def test_scores_that_all_failed_are_no_missing_search(run, author):
    evidence = gather(run)
    evidence.tables.scores = evidence.tables.scores.assign(**FAILED)
    assert list(author(evidence)) == [
        Prose("None of 12 architectures has an estimate after 8 steps of the teacher: see Failures.")
    ]


@pytest.mark.parametrize("author", [search.best, search.searched, search.costly, trust.certified])
def test_without_scores_a_search_is_missing(tmp_path, author):
    (block,) = author(gather(claim(configured(tmp_path), "train")))
    assert isinstance(block, Missing)
    assert block.what == "No architectures scored yet"


def test_truths_that_all_failed_are_no_missing_certificate(run):
    evidence = gather(run)
    evidence.tables.certificate = evidence.tables.certificate.assign(**FAILED)
    assert list(trust.certified(evidence)) == [
        Prose("None of 6 architectures trained on real data has both an estimate and a truth: see Failures.")
    ]


def test_truths_of_architectures_whose_estimates_failed_are_no_missing_certificate(run):
    evidence = gather(run)
    scores, certified = evidence.tables.scores, evidence.tables.certificate["arch"]
    evidence.tables.scores = scores.assign(status=np.where(scores["arch"].isin(certified), "nan", "ok"))
    (block,) = trust.certified(evidence)
    assert "None of 6 architectures trained on real data has both" in block.text


def test_without_truths_a_certificate_is_missing(run):
    evidence = gather(run)
    evidence.tables.certificate = evidence.tables.certificate.iloc[:0]
    (block,) = trust.certified(evidence)
    assert isinstance(block, Missing)
    assert "search.certificate.fraction=0.25" in block.command


def test_every_section_is_written_where_all_scores_failed(run):
    evidence = gather(run)
    evidence.tables.scores = evidence.tables.scores.assign(**FAILED)
    sections = {section.name: section.panels[0].blocks for section in page._sections([evidence])}
    assert sections["best"] == sections["search"] == sections["pareto"] == sections["trust"]
    assert sections["failures"] and sections["summary"]
