"""Masks in COCO's compressed RLE, checked together: as one by one, and the broken one is named."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointrend_repro.base.errors import UserError
from pointrend_repro.data import rle_checks, whole_runs
from pointrend_repro.data.coco_checks import segmentation_problem
from pointrend_repro.data.whole_runs import WholeRuns, all_whole, first_broken

Mask = dict[str, Any]

WHOLE = {"size": [48, 64], "counts": "PP3"}
SHORT = {"size": [48, 64], "counts": "PP2"}


def problems(masks: list[Mask]) -> Iterator[str | None]:
    for mask in masks:
        yield segmentation_problem(mask, tuple(mask["size"]))


@given(st.data())
def test_masks_are_whole_together_if_each_is(data: st.DataObject) -> None:
    masks = []
    for _ in range(data.draw(st.integers(1, 4))):
        high, wide = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 50))
        bits = data.draw(st.lists(st.booleans(), min_size=high * wide, max_size=high * wide))
        pixels = np.array(bits, np.uint8).reshape(high, wide)
        counts = mask_utils.encode(np.asfortranarray(pixels))["counts"].decode()
        if data.draw(st.booleans()):
            place = data.draw(st.integers(0, len(counts) - 1))
            other = data.draw(st.sampled_from(["", "0", "1", "o", "O", "!", "é", "\ud800"]))
            counts = counts[:place] + other + counts[place + data.draw(st.integers(0, 1)) :]
        masks.append({"size": [high, wide], "counts": counts})
    told = list(problems(masks))
    assert all_whole(masks) == (not any(told))
    index = next((k for k, problem in enumerate(told) if problem), None)
    assert first_broken(masks) == (None if index is None else (index, told[index]))


def test_numbers_that_are_longer_than_they_need_to_be_are_whole() -> None:
    padded = {"size": [48, 64], "counts": "PPSPPPP0"}
    assert not all_whole([padded])
    assert first_broken([padded] * 5) is None
    assert first_broken([*[padded] * 5, SHORT, SHORT])[0] == 5  # type: ignore[index]
    assert first_broken([]) is None


@pytest.mark.parametrize("at_once", [1, 3, 100])
@pytest.mark.parametrize("characters", [1, 7, 1000])
def test_the_broken_one_is_named_wherever_blocks_end(
    monkeypatch: pytest.MonkeyPatch, at_once: int, characters: int
) -> None:
    monkeypatch.setattr(whole_runs, "_CHARACTERS_AT_ONCE", characters)
    for broken in range(8):
        runs = WholeRuns(lambda place: f"file: mask {place}", at_once)
        told = f"file: mask {10 * broken}: has an RLE of 2048 pixels where the image has 3072"
        with pytest.raises(UserError, match=told):  # noqa: PT012
            for number in range(8):
                runs.add(10 * number, SHORT if number == broken else WHOLE)
            runs.finish()
    runs = WholeRuns(str, at_once)
    for number in range(8):
        runs.add(number, WHOLE)
    runs.finish()
    runs.finish()


def test_no_characters_are_read_one_by_one_where_all_are_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rle_checks, "compressed_runs", lambda _: 1 / 0)
    assert first_broken([WHOLE] * 100) is None
