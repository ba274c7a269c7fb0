"""What the page says in place of a teacher's results that are not there."""

from gtn_hpc.report.blocks import Block, Missing, Prose
from gtn_hpc.report.evidence import Evidence


def untaught(evidence: Evidence, what: str) -> Block:
    """The run has no curriculum of its own, so that `what`; or the one that it names is not there."""
    if evidence.own:
        return Missing(what, evidence.command("gtn train RUN"))
    return Prose(f"The search takes the curriculum {evidence.curriculum} (search.curriculum), which is not there.")


def unjudged(evidence: Evidence, what: str) -> Block:
    """The file of the curriculum holds no `what`."""
    return Prose(
        f"{evidence.curriculum} holds no {what}. This page shows those alone that gtn train writes into the file; "
        f"this command prints some: {evidence.judging}"
    )
