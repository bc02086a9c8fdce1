"""The variants that a variant's file names, by the names that all papers together know."""

from collections.abc import Mapping
from typing import Any


def with_names_of_all(values: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, Any]:
    """Return what a variant's file in a paper's folder says, without the paper's own short names.

    What has not the form of a variant stays as it is, for who checks it to refuse.

    Args:
        own: what the names that the paper's files need no prefix for are among those of all.
    """
    found = dict(values)
    for key in _SOURCES:
        if isinstance(found.get(key), dict):
            found[key] = _renamed(found[key], "variant", own)
    if isinstance(found.get("inference"), dict):
        found["inference"] = {
            name: _with_ensemble(way, own) for name, way in found["inference"].items()
        }
    return found


_SOURCES = ("start_from", "proposals_from")


def _with_ensemble(way: Any, own: Mapping[str, str]) -> Any:
    if not isinstance(way, dict) or not isinstance(way.get("ensemble"), dict):
        return way
    return way | {"ensemble": _renamed(way["ensemble"], "variants", own)}


def _renamed(values: dict[str, Any], key: str, own: Mapping[str, str]) -> dict[str, Any]:
    name = values.get(key)
    if isinstance(name, str):
        return values | {key: own.get(name, name)}
    if isinstance(name, list):
        return values | {key: [own.get(n, n) if isinstance(n, str) else n for n in name]}
    return values
