"""Settings that a model would accept without using them, which are refused instead.

Sections that several kinds of models share have settings that concern some of these only. One that
did nothing would be reported as if it had been tried.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

from collections.abc import Iterable

from pydantic import BaseModel


def require_unset(section: BaseModel, keys: Iterable[str], name: str, where: str) -> None:
    """Refuse settings that have another value than their default where they have no effect.

    Args:
        section: whose settings `keys` are.
        name: of the section, as a file has it.
        where: what does not use them.

    Raises:
        ValueError: with the first of them that is set.
    """
    for key in keys:
        if getattr(section, key) != type(section).model_fields[key].get_default():
            raise ValueError(f"{name}.{key} does not apply to {where}")
