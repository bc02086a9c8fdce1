"""File names that are paths on another machine, or URLs: matched by the ends of their paths.

Where no image has such a name, one that differs in letter case, or else in its ending, is meant.
A name that could be found where other images are, and is not, is that of a missing image: a file of
this name elsewhere is another image, such as one of the other split, or a mask.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from urllib.parse import parse_qsl, unquote, urlsplit

from PIL import Image

from pointrend_repro.tools.survey.mending.entries import Document, Entry, Mended

_KIND = "file names that were paths of another machine or addresses"
_SPELT = "file names in other letters, or with another ending, than on disk"

Parts = tuple[str, ...]
# What is left of a name in a comparison.
Reading = Callable[[str], str]


def plain(name: str) -> str:
    """Normalise a name, so that ü as one code point equals u with a combining diaeresis."""
    return unicodedata.normalize("NFC", name)


def without_case(name: str) -> str:
    """Return what is the same of A.JPG and a.jpg."""
    return plain(plain(name).casefold())


def without_ending(name: str) -> str:
    """Return what is the same of A.jpeg, a.png and a; what ends no image's name stays."""
    path = PurePath(without_case(name))
    return path.stem if path.suffix in Image.registered_extensions() else path.name


class PictureIndex:
    """Images below a folder, by the ends of their paths."""

    def __init__(self, paths: Iterable[PurePath]) -> None:
        self._by_name: dict[Reading, dict[str, list[PurePath]]] = {
            read: defaultdict(list) for read in (plain, without_case, without_ending)
        }
        for path in paths:
            for read, by_name in self._by_name.items():
                by_name[read(path.name)].append(path)

    def matches(self, parts: Parts, read: Reading = plain) -> list[PurePath]:
        """Return the paths that agree with most of the last components of `parts`."""
        found = self._by_name[read].get(read(parts[-1]), [])
        shared = [_shared(path.parts, parts, read) for path in found]
        return [path for path, count in zip(found, shared, strict=True) if count == max(shared)]


def find_pictures(
    document: Document,
    *,
    root: Path,
    images_dir: Path,
    index: PictureIndex,
    elsewhere: Collection[Path] = (),
) -> tuple[Mended, Mapping[int, Path]]:
    """Name each image of a document by its path from `images_dir`, if it is not found there yet.

    The check finds the same folder afterwards: any other folder that has an image of a new name
    implies that this one has it too.

    Args:
        root: the folder that contains everything.
        images_dir: the folder that names are relative to.
        index: of the images' paths relative to `root`.
        elsewhere: images that another file lists, which are not this one's.

    Returns:
        The document, and the file of each entry that has one, by its position in the list.
    """
    files: dict[int, Path] = {}
    others: dict[int, str] = {}
    for place, entry in enumerate(document["images"]):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            continue
        if _is_there(images_dir, name, root):
            files[place] = images_dir / name
        else:
            others[place] = name
    unsure = _meant(others, root, images_dir, index, any_found=bool(files))
    found = {place: root / paths[0] for place, paths in unsure.items() if len(paths) == 1}
    uses = Counter(os.path.normpath(path) for path in (*files.values(), *found.values()))
    # Two foreign names with the same end cannot both be this file's.
    uses.update({os.path.normpath(path) for path in elsewhere})
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
    done = Counter(_kind(others[place], path.name) for place, path in sure.items())
    return Mended(changed, done, left), files | sure


def _meant(
    names: Mapping[int, str], root: Path, images_dir: Path, index: PictureIndex, *, any_found: bool
) -> dict[int, Sequence[PurePath]]:
    """The images that each name may mean; `any_found`: whether other names are those of images."""
    found = {
        place: _candidates(name, index, _home_of(name, images_dir, root) if any_found else None)
        for place, name in names.items()
    }
    anywhere = not any_found and not any(found.values())
    for place, name in names.items():
        if not found[place]:
            # Beside images that are found, a namesake in another folder may be a mask of this one.
            folder = None if anywhere else _below((images_dir / name).parent, root)
            found[place] = _candidates(name, index, folder, (without_ending,))
    return found


def path_parts(name: str) -> Iterator[Parts]:
    r"""Yield the paths that a file name may stand for, as parts, the most literal reading first.

    Examples: `..\..\upload\4\a.png`, `https://host/a%20b.png?x=1`, `/local-files/?d=c%5Ca.png`.
    """
    texts = [name, unquote(name)]
    if "?" in name or "://" in name:
        with suppress(ValueError):  # such as a bucket's name with brackets
            address = urlsplit(name)
            texts += [value for _, value in parse_qsl(address.query)]
            texts += [address.path, unquote(address.path)]
    for text in texts:
        parts = text.replace("\\", "/").split("/")
        kept = tuple(part for part in parts if part not in {"", ".", ".."})
        if kept:
            yield kept


def _candidates(
    name: str,
    index: PictureIndex,
    folder: PurePath | None,
    reads: Sequence[Reading] = (plain, without_case),
) -> Sequence[PurePath]:
    """The images, of one folder below the root if one is given, that a name may mean."""
    for read in reads:
        for parts in path_parts(name):
            paths = index.matches(parts, read)
            if paths := [path for path in paths if folder in {None, path.parent}]:
                return paths
    return ()


def _home_of(name: str, images_dir: Path, root: Path) -> PurePath | None:
    """The folder below `root` that a name means, or None if it is of another machine."""
    if any(sign in name for sign in ("\\", "://", "?")) or PurePath(name).is_absolute():
        return None
    folder = (images_dir / name).parent
    return _below(folder, root) if _is(folder, Path.is_dir) else None


def _below(folder: Path, root: Path) -> PurePath:
    return PurePath(os.path.relpath(folder, root))


def _kind(name: str, found: str) -> str:
    is_spelt_alike = any(plain(parts[-1]) == plain(found) for parts in path_parts(name))
    return _KIND if is_spelt_alike else _SPELT


def _unsure_line(entry: Entry, paths: Sequence[PurePath]) -> str:
    which = f"image {entry.get('id')!r} with file_name {entry['file_name']!r}"
    if len(paths) == 1:
        return f"{which} would be {paths[0]}, which is another image's, too; correct file_name"
    return f"{which} may be any of {', '.join(map(str, paths[:3]))}; correct file_name"


def _is_there(folder: Path, name: str, root: Path) -> bool:
    if PurePath(name).is_absolute() or os.path.relpath(folder / name, root).startswith(".."):
        return False  # of the copy, a full path would still mean the original
    return _is(folder / name, Path.is_file)


def _is(path: Path, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(path)
    except (OSError, ValueError):  # too long, or with a null byte
        return False


def _shared(path: Sequence[str], parts: Parts, read: Reading) -> int:
    count = 0
    for ours, theirs in zip(reversed(path), reversed(parts), strict=False):
        if read(ours) != read(theirs):
            break
        count += 1
    return count
