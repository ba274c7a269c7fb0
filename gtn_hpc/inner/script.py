"""Runs a record in TorchScript's interpreter, where an operation costs a third of what it costs in Python.

That is what small learners spend their time on. The record is written as TorchScript source; nothing else of
TorchScript is used.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gtn_hpc.inner.record import Call, Name, NotTraceable, Program, Record

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


def script(record: Record) -> Program:
    """The record as a program; results are listed as the function listed them.

    Raises:
        NotTraceable: TorchScript does not take it.
    """
    try:
        function = torch.jit.CompilationUnit(_source(record)).run
    except (RuntimeError, KeyError) as error:
        raise NotTraceable(str(error).strip().splitlines()[0]) from error
    constants = list(record.constants.values())
    places = [i for i, name in enumerate(record.results) if name is not None]

    def run(*values: Tensor) -> Sequence[Tensor | None]:
        results: list[Tensor | None] = [None] * len(record.results)
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            found = function(*values, *constants)
        for place, value in zip(places, found, strict=True):
            results[place] = value
        return results

    return run


def _source(record: Record) -> str:
    names = ", ".join(f"{name}: Tensor" for name in (*record.inputs, *record.constants))
    results = [repr(name) for name in record.results if name is not None]
    kind = f"Tuple[{', '.join(['Tensor'] * len(results))}]"
    lines = [line for number, call in enumerate(record.calls) for line in _lines(call, number)]
    return "\n    ".join([f"def run({names}) -> {kind}:", *lines, f"return ({', '.join(results)},)"]) + "\n"


def _lines(call: Call, number: int) -> list[str]:
    namespace, name = call.operation._schema.name.split("::")
    given = [_literal(a) for a in call.args] + [f"{k}={_literal(v)}" for k, v in call.kwargs.items()]
    text = f"torch.ops.{namespace}.{name}({', '.join(given)})"
    if not call.several:
        return [f"{call.results[0]} = {text}"]
    parts = [f"{result} = t{number}[{i}]" for i, result in enumerate(call.results) if result is not None]
    return [f"t{number} = {text}", *parts]


def _literal(value: Any) -> str:
    match value:
        case Name() | bool() | int() | str() | None:
            return repr(value)
        case torch.device():
            return f'torch.device("{value}")'
        case list() | tuple():
            return f"[{', '.join(map(_literal, value))}]"
        case float():
            return repr(value) if abs(value) < float("inf") else f'float("{value}")'
    return str(_NUMBERS[value])
