"""The layer kit: the adjoint of a training step written by hand, layer by layer, for the paper's learners."""
