"""What of a training's or a prediction's settings decides its result: the one place that says so.

Finished results are known by a digest of these values. A setting that is added later would change
the digest of every result that exists, although it has no effect at its default; `added` marks such
a setting, which then counts only where it is set to something else.

What is decided when a model is tested is no part of its training: see `at_test.py`, where each such
setting belongs to the prediction that asks for it.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

from typing import Any

from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo

from pointrend_repro.base.provenance import digest

_ADDED = "added"

# How often a training logs and saves changes no weight.
_NO_MATTER = frozenset({"run"})


def added(default: Any, description: str) -> Any:
    """Declare a setting that came after results were made without it.

    Its default must do what was done before there was the setting.
    """
    return Field(default, description=description, json_schema_extra={_ADDED: True})


def identity(settings: BaseModel) -> dict[str, Any]:
    """Return what decides a result, as JSON values."""
    found: dict[str, Any] = {}
    for name, value in settings.model_dump(mode="json").items():
        field, item = type(settings).model_fields[name], getattr(settings, name)
        if name in _NO_MATTER or (_is_added(field) and item == field.get_default()):
            continue
        found[name] = identity(item) if isinstance(item, BaseModel) else value
    return found


def settings_digest(settings: BaseModel) -> str:
    """Return the digest by which Snakemake knows whether a result is of these settings."""
    return digest(identity(settings))


def are_of(recorded: Any, settings: BaseModel) -> bool:
    """Return whether the settings in a record decide the same result as these.

    Args:
        recorded: the settings of a training or a prediction in its record, as JSON values.
    """
    try:
        return identity(type(settings).model_validate(recorded)) == identity(settings)
    except ValidationError:
        return False


def _is_added(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and _ADDED in extra
