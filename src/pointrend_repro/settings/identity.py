"""Which settings of a training or a prediction decide its result: the one place that says so.

Finished results are known by a digest of these values. A setting added later would change the
digest of every existing result, although it has no effect at its default; `added` marks such a
setting, which then counts only where it is set to something else.

Settings that apply when a model is tested are not part of its training: see `at_test.py`, where
each such setting belongs to the prediction that uses it.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

from typing import Any

from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo

from pointrend_repro.base.provenance import digest

_ADDED = "added"

# How often a training logs and saves does not affect the weights.
_NO_MATTER = frozenset({"run"})


def added(default: Any, description: str) -> Any:
    """Declare a setting that was introduced after results were made without it.

    Its default must mean what was done before the setting existed.
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
    """Return the digest by which Snakemake knows whether a result was made with these settings."""
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
