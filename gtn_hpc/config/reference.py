"""Every key of the configuration: its type, default and meaning, for `gtn config`, the documentation and errors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gtn_hpc.config.schema import OPERATIONAL, Config


@dataclass(frozen=True)
class Key:
    """One setting. In `name`, `[]` stands for an index of a list and `[conv]` for the variant with `name: conv`."""

    name: str
    type: str
    default: str
    description: str
    operational: bool
    """True where two starts of one run may differ in it."""


def reference() -> list[Key]:
    """All keys in the order of the configuration; defaults as YAML would write them, `required` where there is none."""
    return list(_keys(Config, ""))


def sections_below(annotation: Any) -> Mapping[str, type[BaseModel]]:
    """The sections that a value of this type can be: marked "" for itself, `[]` for items, `[name]` for a variant."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {"": annotation}
    inner = [argument for argument in get_args(annotation) if argument is not ...]
    if get_origin(annotation) is Annotated:
        return sections_below(inner[0])
    if get_origin(annotation) is tuple:
        return {f"[]{mark}": section for argument in inner for mark, section in sections_below(argument).items()}
    found = [section for argument in inner for section in sections_below(argument).values()]
    return {"": found[0]} if len(found) == 1 else {f"[{_variant(section)}]": section for section in found}


def _variant(section: type[BaseModel]) -> str:
    return str(section.model_fields["name"].default)


def _keys(section: type[BaseModel], prefix: str) -> Iterator[Key]:
    for name, field in section.model_fields.items():
        key = prefix + name
        below = sections_below(field.annotation)
        for mark, inner in below.items():
            yield from _keys(inner, f"{key}{mark}.")
        if not below:
            yield Key(key, _type(field.annotation), _default(field), field.description or "", _is_operational(key))


def _is_operational(key: str) -> bool:
    return any(key == name or key.startswith(name + ".") for name in OPERATIONAL)


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else _text(field.default)


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return {"None": "empty", "True": "true", "False": "false"}.get(str(value), str(value))


def _type(annotation: Any) -> str:
    """The type in words of YAML: number, integer, text, true or false, list, one of the listed names."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin is tuple:
        return f"list of {_type(arguments[0])}" if ... in arguments else f"[{', '.join(map(_type, arguments))}]"
    if arguments:
        return " | ".join(map(_type, arguments))
    plain = {int: "integer", float: "number", str: "text", bool: "true | false", type(None): "empty"}
    return plain.get(annotation, str(annotation))
