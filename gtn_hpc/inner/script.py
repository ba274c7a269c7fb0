"""Runs a traced graph in TorchScript's interpreter, where an operation costs a third of what it costs in Python.

That is what small learners spend their time on. The graph is written as TorchScript source and nothing else of
TorchScript is used; a graph that it does not take runs as Python.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

log = logging.getLogger(__name__)

Program = Callable[..., Sequence[Tensor | None]]

_NUMBERS: dict[Any, int] = {
    torch.int32: 3,
    torch.int64: 4,
    torch.float16: 5,
    torch.float32: 6,
    torch.float64: 7,
    torch.bool: 11,
    torch.bfloat16: 15,
    torch.strided: 0,
    torch.contiguous_format: 0,
    torch.preserve_format: 1,
    torch.channels_last: 2,
}
"""How TorchScript numbers types, layouts and memory formats."""


def script(graph: fx.GraphModule) -> Program:
    """`graph` as a program; its results are listed as the graph lists them, None where it has none."""
    try:
        text = _source(graph)
        function = torch.jit.CompilationUnit(text).run
    except (RuntimeError, KeyError) as error:
        log.info("a trace runs as Python, for TorchScript does not take it: %s", str(error).splitlines()[0])
        return graph.forward
    constants = [getattr(graph, n.target) for n in graph.graph.nodes if n.op == "get_attr"]
    places = [i for i, node in enumerate(_results(graph)) if node is not None]
    size = len(_results(graph))

    def run(*values: Tensor) -> Sequence[Tensor | None]:
        results: list[Tensor | None] = [None] * size
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            found = function(*values, *constants)
        for place, value in zip(places, found, strict=True):
            results[place] = value
        return results

    return run


def _source(graph: fx.GraphModule) -> str:
    nodes = list(graph.graph.nodes)
    names = [n.name for op in ("placeholder", "get_attr") for n in nodes if n.op == op]
    results = [n.name for n in _results(graph) if n is not None]
    kind = f"Tuple[{', '.join(['Tensor'] * len(results))}]"
    lines = [_line(n) for n in nodes if n.op == "call_function"]
    header = f"def run({', '.join(f'{name}: Tensor' for name in names)}) -> {kind}:"
    return "\n    ".join([header, *lines, f"return ({', '.join(results)},)"]) + "\n"


def _results(graph: fx.GraphModule) -> Sequence[fx.Node | None]:
    (output,) = (n for n in graph.graph.nodes if n.op == "output")
    return output.args[0]


def _line(node: fx.Node) -> str:
    if not isinstance(node.target, torch._ops.OpOverload):
        source, index = node.args
        return f"{node.name} = {source}[{index}]"
    namespace, name = node.target._schema.name.split("::")
    given = [_literal(a) for a in node.args] + [f"{k}={_literal(v)}" for k, v in node.kwargs.items()]
    return f"{node.name} = torch.ops.{namespace}.{name}({', '.join(given)})"


def _literal(value: Any) -> str:
    match value:
        case fx.Node():
            return value.name
        case torch.device():
            return f'torch.device("{value}")'
        case list() | tuple():
            return f"[{', '.join(map(_literal, value))}]"
        case bool() | int() | str() | None:
            return repr(value)
        case float():
            return repr(value) if abs(value) < float("inf") else f'float("{value}")'
    return str(_NUMBERS[value])
