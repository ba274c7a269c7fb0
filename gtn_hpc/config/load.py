"""YAML and dotted overrides to a `Config`, and errors that say which key is wrong and what would be right."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from gtn_hpc.config.schema import Config
from gtn_hpc.core.errors import ConfigError, nearest


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration of the YAML file at `path` with `key.sub=value` overrides applied in order."""
    path = Path(path)
    if path.is_dir() and (path / "config.yaml").is_file():
        path = path / "config.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        here = ", ".join(str(p) for p in sorted(Path("configs").glob("*.yaml"))) or "none in configs/"
        raise ConfigError(f"Cannot read the configuration {path}: {error}.", remedy=f"Shipped: {here}.") from error
    if not text.strip():
        raise ConfigError(f"The configuration {path} is empty.", remedy="It needs at least: run: {name: NAME}.")
    return parse(text, overrides, where=str(path))


def parse(text: str, overrides: Sequence[str] = (), *, where: str = "configuration") -> Config:
    """As `load`, from the YAML `text`; `where` names it in errors."""
    try:
        tree = OmegaConf.create(text)
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{where} is not YAML: {error}", remedy="Mend the line named above.") from error
    if not OmegaConf.is_dict(tree):
        raise ConfigError(f"{where} is not a mapping of sections.", remedy="It starts with e.g. run: {name: NAME}.")
    for override in overrides:
        _override(tree, override)
    try:
        return Config.model_validate(OmegaConf.to_container(tree, resolve=True))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{where}: {error}", remedy="Mend the reference.") from error
    except ValidationError as error:
        raise ConfigError(f"{where} is not valid:\n{_explain(error)}") from error


def dump(config: BaseModel) -> str:
    """The resolved configuration as YAML that `parse` reads back to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _override(tree: Any, override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"'{override}' is not an override.", remedy="Overrides look like meta.iterations=500.")
    try:
        OmegaConf.update(tree, key, yaml.safe_load(value), force_add=True)
    except (OmegaConfBaseException, yaml.YAMLError, IndexError, ValueError) as error:
        raise ConfigError(f"The override '{override}' cannot be applied: {error}") from error


def _explain(error: ValidationError) -> str:
    return "\n".join(f"  {_line(entry)}" for entry in error.errors())


def _line(entry: Any) -> str:
    place = list(entry["loc"])
    key = ".".join(str(part) for part in place) or "configuration"
    if entry["type"] == "extra_forbidden":
        return f"{key}: unknown key. {nearest(str(place[-1]), _keys_at(place[:-1]))}"
    message = entry["msg"].removeprefix("Value error, ")
    given = "" if entry["type"] == "missing" else f" (given: {entry['input']!r})"
    return f"{key}: {message}{given}"[:400]


def _keys_at(place: Sequence[Any]) -> list[str]:
    """The valid keys of the section at `place`; tags of unions and indices of lists are walked through."""
    models: list[Any] = [Config]
    for part in place:
        models = [found for model in models for found in _below(model, part)] or models
    return [name for model in models for name in model.model_fields]


def _below(model: type[BaseModel], part: Any) -> list[type[BaseModel]]:
    if isinstance(part, str) and part in model.model_fields:
        return _models_in(model.model_fields[part].annotation)
    if getattr(model.model_fields.get("name"), "default", None) == part:
        return [model]
    return []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]
