"""YAML that a person typed, or that came with a file: read without running code, or refused.

PyYAML's safe loader makes no objects, but silently keeps the last of two values for one key, and
raises half a dozen kinds of errors on malformed texts.
"""

from collections.abc import Hashable
from typing import Any

import yaml

from pointrend_repro.base.json_text import MOST_DIGITS

MOST_CHARACTERS = 4_000_000  # the longest file of `config/` has 12 000

# Errors of PyYAML's own constructors: an integer of 5000 digits or a date in month 13
# (ValueError), `!!int ''` (IndexError), `!!bool x` (KeyError), `!!timestamp x` (AttributeError),
# `1:` a thousand times before a fraction (OverflowError).
_FAULTS = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError)


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text whose mappings have each key once.

    Raises:
        ValueError: in one line, with the position if it is known.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"{len(text)} characters, far more than a person would type")
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, with one kind of error, no duplicate keys, and no unreasonable numbers."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
                raise ValueError(f"more than {MOST_DIGITS} digits")
        except _FAULTS as error:
            reason = f"no such value ({type(error).__name__}: {error})"
            raise yaml.constructor.ConstructorError(None, None, reason, node.start_mark) from None
        return value


def _construct_unique(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} is not a word", key_node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} appears twice", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_unique)
