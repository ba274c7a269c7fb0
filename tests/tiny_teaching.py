"""The smallest teacher that shows everything: a meta-iteration takes milliseconds."""

TEACHING = """
data: {name: digits, train: 200, validation: 50, test: 50}
learners: [{family: conv2-fc, widths: [[2, 5], [2, 5], [4, 9]], width_quantum: 1}]
teacher:
  generator: {noise: 4, hidden: 8, channels: [4, 4]}
  curriculum: {steps: 3, batch: 10, start: noise}
inner: {lr: 0.1}
engine: {name: unrolled}
"""
"""What a configuration says of it but `run`, `meta` and `evaluate`."""
