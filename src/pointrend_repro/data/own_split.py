"""A part of the training images, set aside to validate on, where a data set has no val to score."""

import hashlib
from collections.abc import Collection
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_json
from pointrend_repro.data.first_images import part_of, read_lists


def prepare_own_split(annotations: Path, count: int, *, seed: int, train: Path, val: Path) -> None:
    """Write COCO annotations of `count` images of a file, and of the others.

    The same image ids, count and seed give the same two parts everywhere.

    Args:
        train: gets the others.
        val: gets the `count`.

    Raises:
        UserError: the file cannot be read, has no such lists, or no more images than that.
    """
    content, ids = read_lists(annotations)
    if len(ids) <= count:
        raise UserError(
            f"{annotations}: has {len(ids)} images, and none is left for training beside the "
            f"{count} of `val_from_train`"
        )
    chosen = choose(ids, count, seed)
    write_json(train, part_of(content, set(ids) - chosen), indent=None)
    write_json(val, part_of(content, chosen), indent=None)


def choose(ids: Collection[int], count: int, seed: int) -> set[int]:
    """Return those `count` ids whose SHA-256 of "seed/id" is least.

    So anybody can make the same list without this package, and no other image changes whether an
    image's digest is low.
    """
    return set(sorted(ids, key=lambda number: _rank(seed, number))[:count])


def _rank(seed: int, number: int) -> str:
    return hashlib.sha256(f"{seed}/{number}".encode()).hexdigest()
