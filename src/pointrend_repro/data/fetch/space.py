"""Whether the disk has room for a download, checked before it starts."""

import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.errors import UserError


@dataclass(frozen=True)
class Need:
    """The space that one file will take in a folder.

    Attributes:
        stays_bytes: what is left there in the end.
        passes_bytes: what is there only until it is unpacked.
    """

    folder: Path
    stays_bytes: int
    passes_bytes: int = 0


def require_space(needs: Iterable[Need]) -> None:
    """Refuse if a disk cannot hold the files to be fetched, one after another.

    Raises:
        UserError: a disk is too small; quotas are not checked.
    """
    by_disk: dict[int, list[Need]] = defaultdict(list)
    for need in needs:
        by_disk[existing(need.folder).stat().st_dev].append(need)
    for group in by_disk.values():
        needed = sum(n.stays_bytes for n in group) + max(n.passes_bytes for n in group)
        folder = existing(group[0].folder)
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise UserError(
                f"{folder}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; "
                "free some, or make data/ a link to a larger disk"
            )


def existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
