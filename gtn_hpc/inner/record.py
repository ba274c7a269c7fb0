"""Records the tensor operations of a function once, and leaves out those that its results do not need.

make_fx would do it too, in ten times the time: too long where every learner has other widths.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

Program = Callable[..., Sequence[Tensor | None]]


_SAME = (torch.ops.aten.detach.default, torch.ops.aten.alias.default)
"""Operations that give their argument under another hat."""


class NotTraceable(Exception):
    """What a function does depends on the values of its tensors, or cannot be written down."""


@dataclass(frozen=True)
class Name:
    """A tensor of the record."""

    text: str

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Call:
    """results = operation(*args, **kwargs), with names for tensors; `several` results come as a tuple."""

    operation: OpOverload
    args: Any
    kwargs: Any
    results: tuple[Name | None, ...]
    several: bool


@dataclass(frozen=True)
class Record:
    """Calls from `inputs` to `results`; `constants` are tensors that the function brought along."""

    inputs: Sequence[Name]
    constants: dict[Name, Tensor]
    calls: Sequence[Call]
    results: Sequence[Name | None]


class _Recorder(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to skip it torch first imports it, for two seconds in every process."""
        return False

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.names = WeakTensorKeyDictionary()
        self.calls: list[Call] = []
        self.constants: dict[Name, Tensor] = {}
        self.count = 0
        self.inputs = [self.name(value) for value in inputs]

    def name(self, value: Tensor) -> Name:
        self.count += 1
        name = self.names[value] = Name(f"v{self.count}")
        return name

    def known(self, value: Tensor) -> Name:
        found: Name | None = self.names.get(value)
        if found is None:
            found = self.name(value)
            self.constants[found] = value
        return found

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.data_dependent_output in func.tags or torch.Tag.dynamic_output_shape in func.tags:
            raise NotTraceable(f"{func} makes the work depend on values")
        kwargs = kwargs or {}
        given = _map(args, self.known), _map(kwargs, self.known)
        made = func(*args, **kwargs)
        if func in _SAME:
            self.names[made] = self.known(args[0])
            return made
        several = isinstance(made, tuple | list)
        self.calls.append(Call(func, *given, tuple(map(self._result, made if several else [made])), several))
        return made

    def _result(self, value: Any) -> Name | None:
        if not isinstance(value, Tensor):
            return None
        found: Name | None = self.names.get(value)
        return self.name(value) if found is None else found


def record(function: Program, values: Sequence[Tensor]) -> Record:
    """Runs `function` once on `values`.

    Raises:
        NotTraceable: what it does depends on the values.
    """
    with _Recorder(values) as recorder:
        results = [None if r is None else recorder.known(r) for r in function(*values)]
    return Record(recorder.inputs, recorder.constants, _needed(recorder.calls, results), results)


def _needed(calls: Sequence[Call], results: Sequence[Name | None]) -> list[Call]:
    """Without calls whose results nothing uses. Views share a root, and a write to a needed root is needed."""
    roots = _roots(calls)
    live = {roots.get(name, name) for name in results if name is not None}
    kept = []
    for call in reversed(calls):
        written = [a for a in call.results if a is not None and call.operation._schema.is_mutable]
        made = [roots.get(n, n) for n in (*call.results, *written) if n is not None]
        random = torch.Tag.nondeterministic_seeded in call.operation.tags
        if random or any(name in live for name in made):
            kept.append(call)
            _map((call.args, call.kwargs), lambda name: live.add(roots.get(name, name)), Name)
    return kept[::-1]


def _roots(calls: Sequence[Call]) -> dict[Name, Name]:
    """For each tensor that is a view or is written to: the tensor whose memory it shares."""
    roots: dict[Name, Name] = {}
    for call in calls:
        if any(result.alias_info is not None for result in call.operation._schema.returns):
            base = call.args[0]
            for name in call.results:
                if name is not None and isinstance(base, Name) and name != base:
                    roots[name] = roots.get(base, base)
    return roots


def _map(value: Any, change: Callable[[Any], Any], kind: type = Tensor) -> Any:
    """`value` with every tensor (or name) in its lists and dictionaries changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, tuple | list):
        return [_map(v, change, kind) for v in value]
    return {k: _map(v, change, kind) for k, v in value.items()} if isinstance(value, dict) else value
