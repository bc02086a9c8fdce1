"""Checks the published numbers of images, label images and annotations."""

from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.data.fetch.catalogue import RemoteFile


def count(into: Path, file: RemoteFile) -> tuple[dict[str, int], str | None]:
    """Count what a file of the catalogue puts below `into`.

    Returns:
        The numbers by pattern or list, and the first that is wrong, in words, or None.
    """
    found: dict[str, int] = {}
    problems: list[str] = []
    for pattern, expected in file.counts.items():
        found[pattern] = sum(1 for _ in into.glob(pattern))
        if found[pattern] != expected:
            problems.append(f"{into / pattern}: {found[pattern]} files, not {expected}")
    for name, lists in file.json_counts.items():
        try:
            content = read_json(into / name, allow_nan=True)
        except UserError as error:
            return found, str(error)
        for key, expected in lists.items():
            entries = content.get(key) if isinstance(content, dict) else None
            number = len(entries) if isinstance(entries, list) else 0
            found[f"{name}: {key}"] = number
            if number != expected:
                problems.append(f"{into / name}: {number} {key}, not {expected}")
    return found, problems[0] if problems else None
