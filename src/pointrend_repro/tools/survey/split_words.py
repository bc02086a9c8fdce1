"""The words by which files and folders say to which split they belong."""

import re
from pathlib import PurePath

from pointrend_repro.tools.survey.content import Split

# Earlier words count before later ones.
WORDS: dict[Split, tuple[str, ...]] = {"train": ("train",), "val": ("val", "dev", "test")}


def has_word(path: PurePath | str, *beginnings: str) -> bool:
    """Whether a word of a path begins in one of these ways."""
    return any(word.startswith(beginnings) for word in re.findall(r"[a-z]+", str(path).lower()))
