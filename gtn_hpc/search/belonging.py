"""Whether what a run's journals hold belongs to the search that is about to go on from them."""

from collections.abc import Iterable
from typing import cast

from gtn_hpc.core.errors import RunError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores.replay import Journals
from gtn_hpc.scores.rows import Ask, CertificateRow
from gtn_hpc.search.algorithm import Proposal
from gtn_hpc.training.request import Source
from gtn_hpc.training.setting import Setting


def require_own(journals: Journals, setting: Setting, run: RunDirectory) -> None:
    """Every row has the key that `setting` gives it; truths count where more are to be trained. Cost: a hash a row.

    Raises:
        RunError: rows were made with another curriculum or other settings: their mean would be of neither.
    """
    key_of = setting.identity.key_of
    for score in journals.scores:
        if score.key != key_of(score.arch, "curriculum", score.replica, score.fidelity):
            raise RunError(
                f"Scores of run '{run.name}' were made with another curriculum than {setting.digest[:16]}, or with "
                f"other settings: see those of architecture {score.arch[:16]}.",
                remedy="Give this search another run.name, or bring the old curriculum back.",
            )
    for row in journals.certificates if setting.config.search.certificate.fraction else ():
        if row.key != key_of(row.arch, _source(row), row.replica, row.steps):
            raise RunError(
                f"Trainings on real data of run '{run.name}' were made with another final.recipe than this one, or by "
                f"a release that measured them otherwise ({row.source} of architecture {row.arch[:16]}).",
                remedy=f"Give this search another run.name, use the recipe that stands in {run.scores}, or go on "
                "without a certificate: search.certificate.fraction=0.",
            )


def require_proposed(proposals: Iterable[Proposal], asks: Iterable[Ask]) -> None:
    """What is proposed now is what `asks` say of the same numbers, where they say anything. Cost: a hash a proposal.

    Raises:
        RunError: it is another architecture or length, which would be scored and written down nowhere.
    """
    recorded = {ask.order: ask for ask in asks}
    for proposal in proposals:
        ask, now = recorded.get(proposal.ask), (proposal.arch.digest, proposal.fidelity)
        if ask is not None and (ask.arch, ask.fidelity) != now:
            raise RunError(
                f"The list, or the length, is not what this run began with: its proposal {ask.order} was architecture "
                f"{ask.arch} after {ask.fidelity} inner steps, and is {now[0]} after {now[1]} now.",
                remedy="Bring the file search.algorithm.path back as it was (lines may be added at its end); a search "
                "that was lengthened goes on with search.pool=auto; or give this one another run.name.",
            )


def _source(row: CertificateRow) -> Source:
    return "real" if row.source == "truth" else cast(Source, row.source)
