"""File names that are paths of another machine, or addresses: found by what they end in."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from urllib.parse import parse_qsl, unquote, urlsplit

from pointrend_repro.tools.survey.mending.entries import Document, Entry, Mended

_KIND = "file names that were paths of another machine or addresses"

Parts = tuple[str, ...]


class PictureIndex:
    """Pictures below a folder, by the ends of their paths."""

    def __init__(self, paths: Iterable[PurePath]) -> None:
        self._by_name: dict[str, list[PurePath]] = defaultdict(list)
        for path in paths:
            self._by_name[_plain(path.name)].append(path)

    def matches(self, parts: Parts) -> list[PurePath]:
        """Return the paths that agree with `parts` in the most of their last ones."""
        found = self._by_name.get(_plain(parts[-1]), [])
        shared = [_shared(path.parts, parts) for path in found]
        return [path for path, count in zip(found, shared, strict=True) if count == max(shared)]


def find_pictures(
    document: Document, *, root: Path, images_dir: Path, index: PictureIndex
) -> tuple[Mended, Mapping[int, Path]]:
    """Name each picture of a document by its path from `images_dir`, where it is not there yet.

    The check finds the same folder afterwards: whatever other one holds a picture of a new name,
    this one does, too.

    Args:
        root: the folder that holds all.
        images_dir: the folder that names are relative to.
        index: of the pictures' paths relative to `root`.

    Returns:
        The document, and the file of each entry that has one, by its place in the list.
    """
    files: dict[int, Path] = {}
    unsure: dict[int, Sequence[PurePath]] = {}
    for place, entry in enumerate(document["images"]):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            continue
        if _is_there(images_dir, name, root):
            files[place] = images_dir / name
        else:
            unsure[place] = _candidates(name, index)
    found = {place: root / paths[0] for place, paths in unsure.items() if len(paths) == 1}
    uses = Counter(os.path.normpath(path) for path in (*files.values(), *found.values()))
    # Two names of another machine that end alike are not both this file's.
    sure = {place: path for place, path in found.items() if uses[os.path.normpath(path)] == 1}
    left = tuple(
        _unsure_line(document["images"][place], paths)
        for place, paths in unsure.items()
        if paths and place not in sure
    )
    names = {place: os.path.relpath(path, images_dir) for place, path in sure.items()}
    entries = document["images"]
    new = [e | {"file_name": names[k]} if k in names else e for k, e in enumerate(entries)]
    changed = document | {"images": new} if names else document
    done = Counter({_KIND: len(names)} if names else {})
    return Mended(changed, done, left), files | sure


def path_parts(name: str) -> Iterator[Parts]:
    r"""Yield what a file name may be a path of, as parts, the most literal reading first.

    Such as `..\..\upload\4\a.png`, `https://host/a%20b.png?x=1` or `/local-files/?d=c%5Ca.png`.
    """
    texts = [name, unquote(name)]
    if "?" in name or "://" in name:
        address = urlsplit(name)
        texts += [value for _, value in parse_qsl(address.query)]
        texts += [address.path, unquote(address.path)]
    for text in texts:
        parts = text.replace("\\", "/").split("/")
        kept = tuple(part for part in parts if part not in {"", ".", ".."})
        if kept:
            yield kept


def _candidates(name: str, index: PictureIndex) -> Sequence[PurePath]:
    for parts in path_parts(name):
        if paths := index.matches(parts):
            return paths
    return ()


def _unsure_line(entry: Entry, paths: Sequence[PurePath]) -> str:
    which = f"image {entry.get('id')!r} with file_name {entry['file_name']!r}"
    if len(paths) == 1:
        return f"{which} would be {paths[0]}, which is another image's, too; correct file_name"
    return f"{which} may be any of {', '.join(map(str, paths[:3]))}; correct file_name"


def _is_there(folder: Path, name: str, root: Path) -> bool:
    if os.path.relpath(folder / name, root).startswith(".."):
        return False  # what lies outside is not in the copy
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def _plain(name: str) -> str:
    """A name without the difference between ü as one sign and as u with two dots."""
    return unicodedata.normalize("NFC", name)


def _shared(path: Sequence[str], parts: Parts) -> int:
    count = 0
    for ours, theirs in zip(reversed(path), reversed(parts), strict=False):
        if _plain(ours) != _plain(theirs):
            break
        count += 1
    return count
