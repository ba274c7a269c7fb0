"""A tiny teacher, meta-trained by this process alone."""

from tiny_teaching import TEACHING

from gtn_hpc.cluster.connect import connect
from gtn_hpc.cluster.environment import ALONE
from gtn_hpc.config import parse

TEXT = (
    f"\nrun: {{name: tiny}}{TEACHING}"
    """\
meta: {iterations: 4, batch: 20, log_every: 1, checkpoint_every: 2}
evaluate: {learners: 2, during: 2, real_data: {enabled: false, lr: [0.1, 0.4], momentum: [0.5], tune_learners: 1}}
"""
)


def tiny(root, *overrides):
    return parse(TEXT, [f"run.root={root}", *overrides])


def alone():
    return connect("cpu", environment=ALONE)
