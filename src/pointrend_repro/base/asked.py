"""What a person changes of a preset for one run: the words KEY=VALUE of `--set`.

In the pipeline they travel in an environment variable: the text of a rule's command has to stay as
it is, or Snakemake would make all finished results anew.
"""

import contextlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.json_text import parse_json
from pointrend_repro.base.yaml_text import parse_yaml

VARIABLE = "POINTREND_REPRO_SET"

# Of this process's command line.
_said: list[str] = []


def asked() -> list[str]:
    """Return the words of the environment and of the command line, whose word comes last.

    Raises:
        UserError: the environment's are no JSON list of texts.
    """
    return [*_words(os.environ.get(VARIABLE, "[]")), *_said]


@contextlib.contextmanager
def asking(words: Sequence[str]) -> Iterator[None]:
    """Let `asked` return these words, too, until the context ends."""
    _said.extend(words)
    try:
        yield
    finally:
        del _said[len(_said) - len(words) :]


def share(words: Sequence[str]) -> None:
    """Let the commands that this process starts be asked for these words, and for no others."""
    os.environ[VARIABLE] = json.dumps(list(words))


def as_typed() -> str:
    """Return what stands before a command that the environment asks for something; else nothing."""
    given = os.environ.get(VARIABLE, "")
    return f"{VARIABLE}={shlex.quote(given)} " if given else ""


def read_pairs(words: Sequence[str], where: str = "--set") -> Mapping[str, Any]:
    """Return the keys of words KEY=VALUE with their values, read as YAML.

    Raises:
        UserError: a word has no value, or one that is not YAML.
    """
    values = {}
    for key, value in split_pairs(words, where).items():
        try:
            values[key] = parse_yaml(value)
        except ValueError as error:
            raise UserError(f"{where} {key}: not valid YAML: {error}") from None
    return values


def split_pairs(words: Sequence[str], where: str) -> dict[str, str]:
    """Return the keys of words KEY=VALUE with their values, as they are.

    Args:
        where: the option whose words they are.

    Raises:
        UserError: a word has no key, or no value.
    """
    values = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UserError(f"{where} {word!r}: must be KEY=VALUE")
        values[key] = value
    return values


def _words(text: str) -> list[str]:
    try:
        words = parse_json(text)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UserError(f'{VARIABLE}: must be a JSON list such as ["optimizer.base_lr=0.01"]')
    return words
