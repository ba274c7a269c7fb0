"""Whether two modules compute the same function of their parameters: what a cache of traces goes by."""

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size, type)
_OF_MODULE = set(vars(nn.Module()))


def fingerprint(module: nn.Module, *settings: Any) -> str:
    """SHA-256 of types, names, shapes and settings of `module` and all below it, without the values of its tensors.

    Equal only for modules of one structure. What it cannot read (a hook, an own object) stands for itself alone, by
    identity, so such modules never share a trace.
    """
    return hashlib.sha256(repr((_structure(module), settings)).encode()).hexdigest()


def _structure(module: nn.Module) -> tuple[Any, ...]:
    own = [(k, _setting(v)) for k, v in sorted(vars(module).items()) if k not in _OF_MODULE]
    hooks = [id(hook) for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())]
    tensors = [(k, _form(v)) for k, v in (*module._parameters.items(), *module._buffers.items())]
    children = [(k, _structure(child)) for k, child in module._modules.items() if child is not None]
    return (type(module), tuple(own), tuple(hooks), tuple(tensors), tuple(children))


def _form(value: Tensor | None) -> Any:
    return None if value is None else (tuple(value.shape), value.dtype, str(value.device))


def _setting(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, tuple | list):
        return (type(value), *map(_setting, value))
    if isinstance(value, dict):
        return (dict, *((k, _setting(v)) for k, v in value.items()))
    if isinstance(value, set | frozenset):
        return (set, *sorted(map(repr, map(_setting, value))))
    if isinstance(value, Tensor):
        return Tensor, id(value)
    return type(value), id(value)
