"""A YAML file of `config/` as checked settings, and every complaint about it in one line."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.base.yaml_text import parse_yaml
from pointrend_repro.settings.instances import Strict

CONFIG_DIR = Path(__file__).resolve().parents[3] / "config"

T = TypeVar("T", bound=Strict)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, refusing keys that stand there twice.

    Raises:
        UserError: missing, not YAML, or not a mapping; the message has the line.
    """
    try:
        value = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be a mapping of keys to values")
    return value


def validate(schema: type[T], values: Any, where: str) -> T:
    """Return the settings that a file holds.

    Args:
        where: what to call the file, or its part, in an error.

    Raises:
        UserError: a key is unknown or missing, or has a wrong value.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{where}: {one_line(error, schema)}") from None


def one_line(error: ValidationError, schema: type[Strict]) -> str:
    """Put all that pydantic found wrong into one line, with suggestions for unknown keys."""
    parts = []
    for item in error.errors():
        key = ".".join(str(p) for p in item["loc"]) or schema.__name__
        if item["type"] == "extra_forbidden":
            parts.append(f"unknown key {key}{suggest(key.split('.')[-1], _keys_of(schema))}")
        else:
            parts.append(f"{key}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)


def _keys_of(schema: type[Strict]) -> list[str]:
    """All keys that occur anywhere in a schema, for suggestions."""
    names: set[str] = set()
    for part in [schema.model_json_schema(), *schema.model_json_schema().get("$defs", {}).values()]:
        names.update(part.get("properties", {}))
    return sorted(names)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping with another one on top of it, key by key at every depth."""
    found = dict(base)
    for key, value in over.items():
        old = found.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = merged(old, value)
        found[key] = value
    return found
