"""A YAML file of `config/` as checked settings, and every complaint about it in one line."""

import copy
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.base.yaml_text import parse_yaml
from pointrend_repro.settings.values import Strict
from pointrend_repro.settings.values import merged as merged

T = TypeVar("T", bound=Strict)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, refusing keys that stand there twice.

    Raises:
        UserError: missing, not YAML, or not a mapping; the message has the line.
    """
    try:
        value = copy.deepcopy(_parsed(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be a mapping of keys to values")
    return value


@cache
def _parsed(text: str) -> Any:
    """Return the value of a YAML text, which nobody may change.

    A command asks for some files hundreds of times, and PyYAML takes milliseconds for one.
    """
    return parse_yaml(text)


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
