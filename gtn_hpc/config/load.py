"""YAML and dotted overrides to a `Config`."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from gtn_hpc.config.explain import NAME, explain, variants
from gtn_hpc.config.schema import Config
from gtn_hpc.config.teaching import NAMES, Run
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.core.rundir import RunDirectory

CONFIGS = Path("configs")

RETIRED: dict[str, dict[str, object]] = {"meta": {"grow": None}, "engine": {"random_window": False}}
"""Options that are gone, by section, with the value by which resolved configurations in older files say: off."""


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration of the YAML file at `path` with `key.sub=value` overrides applied in order.

    A run directory stands for the config.yaml in it, with the run.root and run.name that lead to this directory: a run
    that was copied or moved, or that is named from elsewhere, is the one that is meant.

    Raises:
        ConfigError: no file, no YAML, a key that does not exist or a value that does not fit.
    """
    path, of_run = Path(path), RunDirectory(Path(path)).config
    if not of_run.is_file():
        return _resolved(_read(_text(path), str(path)), overrides, str(path))
    tree = _read(_text(of_run), str(of_run))
    _settle(tree, path, overrides)
    return _resolved(tree, overrides, str(of_run))


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"Cannot read the configuration {path}: {reason}.", remedy=_shipped()) from error
    if not text.strip():
        raise ConfigError(f"The configuration {path} is empty.", remedy="It needs at least: run: {name: NAME}.")
    return text


def _settle(tree: Any, directory: Path, overrides: Sequence[str]) -> None:
    """Makes run.root and run.name of `tree` lead to `directory`; where they do so already they stay as written."""
    values: Any = OmegaConf.to_container(tree)
    run = values.get("run")
    if not isinstance(run, dict):
        return
    root = os.path.expanduser(str(run.get("root", Run.model_fields["root"].default)))
    written = Path(root) / str(run.get("name", ""))
    if written.resolve() == directory.resolve():
        return
    place = directory.resolve() if directory.name in ("", "..") else directory
    if not re.fullmatch(NAMES, place.name) and not any(one.partition("=")[0] == "run.name" for one in overrides):
        raise ConfigError(
            f"The directory {directory} cannot be a run's: its name is the run's, which {NAME}.", remedy="Rename it."
        )
    OmegaConf.update(tree, "run", {"root": str(place.parent.resolve()), "name": place.name}, merge=True)


def _shipped() -> str:
    """Which configurations lie below this directory: profiles of sites are none."""
    found = sorted(path for path in CONFIGS.rglob("*.yaml") if "site" not in path.parts)
    if not found:
        return f"Name a YAML file by its path; there are none in {CONFIGS.absolute()}, where a checkout has some."
    return f"Shipped: {', '.join(map(str, found))}."


def parse(text: str, overrides: Sequence[str] = (), *, where: str = "The configuration") -> Config:
    """As `load`, from the YAML `text`; `where` names it in errors.

    A number in quotes, or true for 1, is refused: it is more often a slip than a wish.
    """
    return _resolved(_read(text, where), overrides, where)


def _resolved(tree: Any, overrides: Sequence[str], where: str) -> Config:
    mixed = dict[str, str]()
    for override in overrides:
        mixed |= _mixed(tree, override)
        _override(tree, override)
    try:
        values = OmegaConf.to_container(tree, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{where}: {error}", remedy="Mend the reference.") from error
    text = json.dumps(_without_retired(_sections(values)), default=str)
    try:
        return Config.model_validate_json(text, strict=True)
    except ValidationError as error:
        where += f" with {', '.join(overrides)}" if overrides else ""
        told = explain(error, json.loads(text))
        remedies = (remedy for section, remedy in mixed.items() if f"  {section}." in told)
        raise ConfigError(f"{where} is not valid:\n{told}", remedy=next(remedies, None)) from error


def _without_retired(values: dict[str, Any]) -> dict[str, Any]:
    """Where a retired option was in use it stays, and is refused as unknown."""
    for section, options in RETIRED.items():
        given = values.get(section)
        for name, off in options.items():
            if isinstance(given, dict) and given.get(name, ...) is off:
                del given[name]
    return values


def dump(config: BaseModel) -> str:
    """The resolved configuration as YAML that `parse` reads back to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read(text: str, where: str) -> Any:
    try:
        tree = OmegaConf.create(text)
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        reason = str(error).replace('"<unicode string>", ', "")
        raise ConfigError(f"{where} is not YAML: {reason}", remedy="Mend the line named above.") from error
    if not OmegaConf.is_dict(tree):
        raise ConfigError(f"{where} is not a mapping of sections.", remedy="It starts with e.g. run: {name: NAME}.")
    return tree


def _sections(values: Any) -> dict[str, Any]:
    """An empty section is one of defaults, and `run` is always there, so that what it needs is asked for by name.

    A section that may be left out altogether is left out where it is empty.
    """
    fields = Config.model_fields
    absent = {name for name in fields if not fields[name].is_required() and fields[name].default is None}
    return {"run": {}} | {k: {} if section is None and k not in absent else section for k, section in values.items()}


def _is_of_another_kind(given: Any, tree: Any, key: str) -> bool:
    """Whether a section that comes in several kinds is given by a name that the one in its place does not have: then
    none of that one's keys stay."""
    if not OmegaConf.is_dict(given) or "name" not in given or not variants(key):
        return False
    before = OmegaConf.select(tree, key)
    return not OmegaConf.is_dict(before) or before.get("name") != given["name"]


def _mixed(tree: Any, override: str) -> dict[str, str]:
    """The section that this gives another kind's name alone, so that the former kind's keys stay, and the remedy."""
    key, _, name = override.partition("=")
    section = key.removesuffix(".name")
    if section == key or name not in variants(section):
        return {}
    before = OmegaConf.select(tree, section)
    if not OmegaConf.is_dict(before) or before.get("name") == name or len(before) < 2:
        return {}
    return {section: f"{override} keeps the other keys of {section}; the whole section is {section}={{name: {name}}}."}


def _override(tree: Any, override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"'{override}' is not an override.", remedy="Overrides look like meta.iterations=500.")
    try:
        given = OmegaConf.from_dotlist([f"value={value}"]).value
        OmegaConf.update(tree, key, given, merge=not _is_of_another_kind(given, tree, key), force_add=True)
    except (OmegaConfBaseException, yaml.YAMLError, IndexError, TypeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"The override '{override}' cannot be applied: {error}", remedy="Overrides look like meta.iterations=500."
        ) from error
