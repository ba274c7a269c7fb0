"""The smallest teacher that shows everything: milliseconds a meta-iteration."""

from gtn_hpc.cluster.connect import connect
from gtn_hpc.cluster.environment import ALONE
from gtn_hpc.config import parse

TEXT = """
run: {name: tiny}
data: {name: digits, train: 200, validation: 50, test: 50}
learners: [{family: conv2-fc, widths: [[2, 5], [2, 5], [4, 9]], width_quantum: 1}]
teacher:
  generator: {noise: 4, hidden: 8, channels: [4, 4]}
  curriculum: {steps: 3, batch: 10, start: noise}
inner: {lr: 0.1}
engine: {name: unrolled}
meta: {iterations: 4, batch: 20, log_every: 1, checkpoint_every: 2}
evaluate: {learners: 2, during: 2, real_data: {enabled: false, lr: [0.1, 0.4], momentum: [0.5], tune_learners: 1}}
"""


def tiny(root, *overrides):
    return parse(TEXT, [f"run.root={root}", *overrides])


def alone():
    return connect("cpu", environment=ALONE)
