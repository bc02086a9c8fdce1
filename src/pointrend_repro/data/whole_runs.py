"""Whether masks in COCO's compressed RLE are whole, many at once: no loop over characters.

pycocotools reads any text without a check. It makes uninitialised memory of a broken one, or
compares it with others for ever.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco_checks import segmentation_problem

_Ints = NDArray[np.int64]

_CHARACTERS = bytes(range(48, 48 + 64))
# Characters of a number: six hold 30 bits, and no image has more pixels.
_LONGEST = 6

# At once in a `WholeRuns`: arrays of some 80 bytes for each character are made of them, and more of
# them would not fit into the cache of a processor.
_CHARACTERS_AT_ONCE = 1 << 16


class WholeRuns:
    """Checks masks that come one by one, many at once.

    Args:
        name: returns what to call the mask of a place, for the message.
        at_once: how many masks at most.
    """

    def __init__(self, name: Callable[[int], str], at_once: int) -> None:
        self._name, self._at_once = name, at_once
        self._places: list[int] = []
        self._masks: list[Mapping[str, Any]] = []
        self._characters = 0

    def add(self, place: int, mask: Mapping[str, Any]) -> None:
        """Take the next mask, with `size` [H, W], two whole numbers, and `counts`, a text.

        Raises:
            UserError: it is broken, or an earlier one is.
        """
        self._places.append(place)
        self._masks.append(mask)
        self._characters += len(mask["counts"])
        if len(self._masks) >= self._at_once or self._characters >= _CHARACTERS_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Check the masks that are left.

        Raises:
            UserError: one is broken.
        """
        broken = first_broken(self._masks)
        if broken is not None:
            index, problem = broken
            raise UserError(f"{self._name(self._places[index])}: {problem}")
        self._places, self._masks, self._characters = [], [], 0


def first_broken(masks: Sequence[Mapping[str, Any]]) -> tuple[int, str] | None:
    """Return the index of the first mask that is not whole, and its problem in words, or None.

    Args:
        masks: with `size` [H, W], two whole numbers, and `counts`, a text.
    """
    if not masks or all_whole(masks):
        return None
    if len(masks) == 1:
        problem = segmentation_problem(dict(masks[0]), tuple(masks[0]["size"]))
        return None if problem is None else (0, problem)
    middle = len(masks) // 2
    found = first_broken(masks[:middle])
    if found is not None:
        return found
    found = first_broken(masks[middle:])
    return None if found is None else (middle + found[0], found[1])


def all_whole(masks: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether each mask's runs are at least 0 and cover its size, neither more nor less.

    It says no of a few masks that are whole, too: of those without pixels or with numbers written
    at odd length. So `first_broken` leaves the last word to `coco_checks.segmentation_problem`.

    Args:
        masks: with `size` [H, W] and `counts`, a text.
    """
    texts = [mask["counts"].encode(errors="surrogatepass") for mask in masks]
    text = b"".join(texts)
    if not all(texts) or text.translate(None, _CHARACTERS):
        return False
    codes = np.frombuffer(text, np.uint8) - 48
    ends = np.cumsum([len(each) for each in texts])
    is_last = codes < 32  # of a number's characters: the others have bit 5
    if not is_last[ends - 1].all():
        return False
    numbers = _numbers(codes, np.flatnonzero(is_last))
    if numbers is None:
        return False
    number_ends = np.cumsum(is_last)[ends - 1]
    runs = _runs(numbers, number_ends)
    starts = np.append(0, number_ends[:-1])
    pixels = np.add.reduceat(runs, starts)
    expected = [mask["size"][0] * mask["size"][1] for mask in masks]
    return bool(runs.min() >= 0 and pixels.tolist() == expected)


def _numbers(codes: NDArray[np.uint8], last: NDArray[np.intp]) -> _Ints | None:
    """Decode numbers of five bits a character, lowest first; None: one is longer than it can be.

    Args:
        last: of each number, the place of its last character, whose bit 4 is its sign.
    """
    first = np.append(0, last[:-1] + 1)
    more = last - first
    if more.max() >= _LONGEST:
        return None
    numbers = (codes[first] & 31).astype(np.int64)
    for place in range(1, int(more.max()) + 1):
        (longer,) = np.nonzero(more >= place)
        numbers[longer] |= (codes[first[longer] + place] & 31).astype(np.int64) << 5 * place
    (negative,) = np.nonzero(codes[last] & 16)
    numbers[negative] -= 32 << 5 * more[negative]
    return numbers


def _runs(numbers: _Ints, ends: _Ints) -> _Ints:
    """Return the runs of masks: from its fourth on, each is a difference from the one two before.

    Args:
        numbers: of all masks, one after the other.
        ends: of each mask, where the next one begins.
    """
    counts = np.diff(ends, prepend=0)
    place = np.arange(len(numbers)) - np.repeat(ends - counts, counts)
    # Of each mask first the numbers at even places, then those at odd ones, so that sums over
    # every second number are sums over neighbours. They begin again at the first three of a mask.
    shift = np.repeat((counts + 1) // 2, counts)
    order = np.repeat(ends - counts, counts) + place // 2 + place % 2 * shift
    ordered, begins = np.empty_like(numbers), np.empty(len(numbers), bool)
    ordered[order], begins[order] = numbers, place < 3
    sums = ordered.cumsum()
    (starts,) = np.nonzero(begins)
    before = np.repeat((sums - ordered)[starts], np.diff(starts, append=len(numbers)))
    runs: _Ints = (sums - before)[order]
    return runs
