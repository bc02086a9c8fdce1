"""What is wrong with a mask that is written as run lengths (COCO's RLE), in words."""

from typing import Any

from pointrend_repro.base.json_text import shown


def rle_problem(rle: dict[str, Any], size: tuple[int, int]) -> str | None:
    """Return what is wrong with an RLE for an image of `size` (H, W), or None."""
    if rle.get("size") != list(size):
        return (
            f"has an RLE of size {shown(rle.get('size'))}, not the image's {list(size)}; correct it"
        )
    counts = rle.get("counts")
    try:
        runs = compressed_runs(counts) if isinstance(counts, str) else counts
    except ValueError as error:
        return f"has a broken RLE ({error}); correct it"
    if not isinstance(runs, list) or set(map(type, runs)) - {int} or min(runs, default=0) < 0:
        return "has an RLE whose counts are not whole numbers from 0 up; correct it"
    # pycocotools decodes a run-length encoding that is too short into uninitialised memory.
    if sum(runs) != size[0] * size[1]:
        return (
            f"has an RLE of {shown(sum(runs))} pixels where the image has {size[0] * size[1]}; "
            "correct it"
        )
    return None


def compressed_runs(counts: str) -> list[int]:
    """Decode the run lengths of COCO's compressed RLE.

    Each character holds 5 bits, lowest first, plus 48; bit 5 says that more follow. From the
    fourth run on, the difference from the run two before is stored (pycocotools, maskApi.c).

    Raises:
        ValueError: a character is out of range, or the text ends inside a number.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"not an RLE character: {character!r}")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the RLE ends inside a number")
    return runs
