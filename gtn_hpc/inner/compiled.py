"""Traces compiled by Inductor: loops are fused, at half a minute a function."""

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from gtn_hpc.inner.record import Program
from gtn_hpc.inner.traced import Traced


class Compiled(Traced):
    """As `Traced`, through torch.compile; for learners of one shape that train for long. Needs a C++ compiler.

    What draws random numbers stays a trace: Inductor may draw others in the step than in its adjoint (pytorch issue
    198333). On a GPU the mode reduce-overhead records CUDA graphs of both, whose results the next call overwrites: they
    are copied.
    """

    def make(self, function: Program, values: list[Tensor]) -> Program:
        graph = make_fx(function)(*values)
        if any(torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) for node in graph.graph.nodes):
            return super().make(function, values)
        graph.graph.eliminate_dead_code()
        graph.recompile()
        if not values[0].is_cuda:
            return torch.compile(graph, dynamic=False, fullgraph=True)
        compiled = torch.compile(graph, dynamic=False, fullgraph=True, mode="reduce-overhead")
        return lambda *given: [None if made is None else made.clone() for made in compiled(*given)]
