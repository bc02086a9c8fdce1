"""Whether masks in COCO's compressed RLE are whole, many at once: no loop over characters.

pycocotools reads any text without a check, and makes uninitialised memory of a broken one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Ints = NDArray[np.int64]

_CHARACTERS = bytes(range(48, 48 + 64))
# Characters of a number: six hold 30 bits, and no image has more pixels.
_LONGEST = 6


def all_whole(masks: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether each mask's runs are at least 0 and cover its size, neither more nor less.

    It says no of a few masks that are whole, too: of those without pixels or with numbers written
    at odd length. So `data.coco_checks.segmentation_problem` has the last word, one by one.

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
    # Sums over every second number, each of which begins again at the first three of a mask.
    order = np.argsort(np.repeat(np.arange(len(counts)), counts) * 2 + place % 2, kind="stable")
    sums = numbers[order].cumsum()
    begins = place[order] < 3
    before = sums - numbers[order]
    runs = np.empty_like(numbers)
    latest = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    runs[order] = sums - before[latest]
    return runs
