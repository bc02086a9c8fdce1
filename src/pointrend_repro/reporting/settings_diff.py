"""Which settings of a step are not the defaults: the classes in `settings/` hold the paper's.

A step's settings are compared as the plain values in its record, not read back into those
classes: the record of older code may have keys that today's classes refuse.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from pointrend_repro.declarations.family import recorded_class
from pointrend_repro.settings.at_test import SizeAtTest


@dataclass(frozen=True)
class Difference:
    """One setting that is not the default. `default` is None where there is none to differ from."""

    key: str
    value: str
    default: str | None


def differences(settings: Mapping[str, Any]) -> list[Difference]:
    """Return what differs from the defaults of the settings' class, in the order of the record.

    What has no default, such as the trunk or the number of updates, is always among them. The
    class is that of the record's family (`recorded_class`); whatever else a step ran with is listed
    whole.
    """
    return list(_walk(settings, recorded_class(settings), ""))


def _walk(
    settings: Mapping[str, Any], schema: type[BaseModel] | None, prefix: str
) -> Iterator[Difference]:
    fields = schema.model_fields if schema else {}
    for key, value in settings.items():
        field = fields.get(key)
        if isinstance(value, Mapping) and value:
            yield from _walk(value, _nested(field, value), f"{prefix}{key}.")
        elif field is None or field.is_required():
            yield Difference(prefix + key, text(value), None)
        else:
            default = to_jsonable_python(field.get_default(call_default_factory=True))
            if to_jsonable_python(value) != default:
                told = "as trained" if schema and _is_at_test(schema) else text(default)
                yield Difference(prefix + key, text(value), told)


def _is_at_test(schema: type[BaseModel]) -> bool:
    """Whether settings say what a model is tested with instead of its own."""
    return issubclass(schema, SizeAtTest)


def _nested(field: FieldInfo | None, value: Mapping[str, Any]) -> type[BaseModel] | None:
    """Return the class of a nested section; of several kinds, that of its `kind`."""
    if field is None:
        return None
    members = [m for m in _members(field.annotation) if "kind" not in m.model_fields]
    kinds = [
        m
        for m in _members(field.annotation)
        if "kind" in m.model_fields
        and value.get("kind") in get_args(m.model_fields["kind"].annotation)
    ]
    return next(iter(kinds or members), None)


def _members(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _members(part)


def text(value: Any) -> str:
    """Return a setting as it would stand in a config file."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(text(item) for item in value)}]"
    return str(value)
