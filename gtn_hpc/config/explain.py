"""Validation errors in words: which key, what is wrong with it, what would be right."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from gtn_hpc.config.reference import reference, sections_below
from gtn_hpc.config.schema import Config
from gtn_hpc.core.errors import nearest

WORDS = {
    "missing": "needs a value; it has no default",
    "finite_number": "has to be a finite number",
    "int_type": "has to be an integer",
    "float_type": "has to be a number",
    "string_type": "has to be text (quote it)",
    "bool_type": "has to be true or false",
    "tuple_type": "has to be a list",
    "model_type": "has to be a section with keys of its own",
    "int_from_float": "has to be an integer",
    "too_short": "needs more items",
}
"""Pydantic's kinds of error in the words of YAML; its own words serve for the others."""

NAME = "may hold letters, digits, dots, dashes and underscores, and begins with a letter or a digit"
FORMS = {"run.name": NAME}
"""What texts look like whose descriptions do not say it."""


def explain(error: ValidationError, given: Mapping[str, Any]) -> str:
    """One line a key of `given`, the values as they were written."""
    reasons: dict[str, dict[str, None]] = {}
    values: dict[str, str] = {}
    for entry in error.errors():
        if not _follows_from_items(entry):
            key = _key(entry, given)
            reasons.setdefault(key, {})[_reason(entry, key)] = None
            values[key] = _value(entry)
    lines = (f"{key}: {', or '.join(said)}{values[key]}".removeprefix(": ") for key, said in _deepest(reasons).items())
    return "\n".join(f"  {line[:500]}" for line in lines)


def _follows_from_items(entry: Any) -> bool:
    """A list counts as too short as well when its items are wrong."""
    return entry["type"] == "too_short" and len(entry["input"]) >= entry["ctx"]["min_length"]


def _deepest(by_key: Mapping[str, Iterable[str]]) -> dict[str, Iterable[str]]:
    """Without keys that have one below: a wrong item of a list says more than "not one of the other kinds"."""
    above = {key for key in by_key for other in by_key if other.startswith(key + ".")}
    return {key: value for key, value in by_key.items() if key not in above}


def _key(entry: Any, given: Any) -> str:
    """The key as the user wrote it: tags of unions, which are no part of the input, are left out."""
    written: list[str] = []
    for part in entry["loc"]:
        if _holds(given, part):
            given = given[part]
            written.append(str(part))
    if entry["type"] == "missing":
        written.append(str(entry["loc"][-1]))
    if entry["type"] in ("union_tag_not_found", "union_tag_invalid"):
        written.append(entry["ctx"]["discriminator"].strip("'"))
    return ".".join(written)


def _value(entry: Any) -> str:
    if entry["type"] in ("missing", "extra_forbidden", "union_tag_not_found") or not entry["loc"]:
        return ""
    return f" (given: {entry['ctx']['tag'] if entry['type'] == 'union_tag_invalid' else entry['input']!r})"


def _holds(value: Any, part: Any) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _reason(entry: Any, key: str) -> str:
    if entry["type"] == "extra_forbidden":
        return f"unknown key. {_suggestion(str(entry['loc'][-1]), entry['loc'][:-1])}"
    if entry["type"] in ("union_tag_not_found", "union_tag_invalid"):
        valid = variants(key.removesuffix(".name"))
        return f"needs a name that exists. {nearest(str(entry['ctx'].get('tag', '')), valid)}"
    if entry["type"] == "dict_type" and (names := variants(key)):
        example = entry["input"] if entry["input"] in names else names[0]
        return f"has to be a mapping, for example {{name: {example}}}; names: {', '.join(names)}"
    if entry["type"] == "string_pattern_mismatch":
        return FORMS.get(key) or "has to be " + next(row.description for row in reference() if row.name == key)
    return in_words(entry)


def in_words(entry: Any) -> str:
    """What is wrong with a value, for the kinds of error that name no other keys."""
    words = entry["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return WORDS.get(entry["type"], words[:1].lower() + words[1:])


def variants(section: str) -> list[str]:
    """The names that a section of several kinds can have."""
    return [row.default for row in reference() if row.name.startswith(f"{section}[") and row.name.endswith("].name")]


def _suggestion(name: str, place: Sequence[Any]) -> str:
    """The nearest key of the section at `place`, or the places elsewhere where a key has just this name."""
    valid = list(_keys_at(place))
    elsewhere = [key.name for key in reference() if key.name.rpartition(".")[2] == name]
    sentence = nearest(name, valid)
    if sentence.startswith("Did you mean") or not elsewhere:
        return sentence
    return f"Did you mean {' or '.join(elsewhere)}? {sentence}"


def _keys_at(place: Sequence[Any]) -> Iterator[str]:
    """The valid keys of the section at `place`; tags of unions and indices of lists are walked through."""
    sections: list[type[BaseModel]] = [Config]
    for part in place:
        sections = [found for section in sections for found in _below(section, part)] or sections
    for section in sections:
        yield from section.model_fields


def _below(section: type[BaseModel], part: Any) -> list[type[BaseModel]]:
    if isinstance(part, str) and part in section.model_fields:
        return list(sections_below(section.model_fields[part].annotation).values())
    name = section.model_fields.get("name")
    return [section] if name is not None and name.default == part else []
