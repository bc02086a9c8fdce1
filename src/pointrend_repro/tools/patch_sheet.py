"""Draws the patches that a training sees, with their masks and labels, for a person to check."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import atomic_path
from pointrend_repro.data.batches import MicroBatches, training_batches
from pointrend_repro.data.patches import PatchTarget
from pointrend_repro.declarations.family import family_of
from pointrend_repro.settings.of_family import AnyTrainingSettings

_COLUMNS = 8
_CAPTION_PX = 14
_GAP_PX = 4
_POSITIVE, _NEGATIVE = (40, 160, 60), (190, 60, 40)


def write_patch_sheet(
    path: Path,
    settings: AnyTrainingSettings,
    dataset: Any,
    *,
    seed: int,
    iteration: int,
    count: int,
) -> int:
    """Write the first patches of a training from an iteration on, as one PNG.

    The line in a patch is where the context ends. The object that the mask holds is green. Below it
    stands whether it is positive, and what of it is learned.

    Args:
        dataset: the training split.
        seed: of the training, which is the number of its trial.

    Returns:
        How many were drawn, `count`.

    Raises:
        UserError: the training is not of patches, or an image cannot be read.
    """
    family = family_of(settings)
    records = family.training_records(dataset, settings)
    optimizer = settings.optimizer
    batches = training_batches(
        records,
        family.example_maker(settings, records),
        micro_batches=MicroBatches(optimizer.images_per_batch, optimizer.images_per_step),
        seed=seed,
        iterations=range(iteration, iteration + count),  # a batch has a patch at least
        workers=0,
        by_shape=family.by_shape,
    )
    tiles = list(itertools.islice(_tiles(batches, settings, family.name), count))
    sheet = _sheet(tiles)
    with atomic_path(path) as part:
        sheet.save(part, format="PNG")
    return len(tiles)


def _tiles(batches: Any, settings: AnyTrainingSettings, family: str) -> Any:
    for batch in batches:
        for micro_batch in batch.micro_batches:
            for patches, target in zip(micro_batch.images, micro_batch.targets, strict=True):
                if not isinstance(target, PatchTarget):
                    raise UserError(f"models of family {family} are not trained on patches")
                for i, patch in enumerate(patches):
                    yield _tile(patch.numpy(), target, i, settings.model.context_px)


def _tile(
    pixels: NDArray[np.uint8], target: PatchTarget, index: int, context_px: int
) -> Image.Image:
    """Return one patch (3, H, H) with its mask, the edge of its context, and its label."""
    positive = bool(target.is_positive[index])
    colour = _POSITIVE if positive else _NEGATIVE
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    inside = image.width - 2 * context_px
    mask = Image.fromarray(target.masks[index].numpy().astype(np.uint8) * 110)
    mask = mask.resize((inside, inside), Image.Resampling.NEAREST)
    image.paste(Image.new("RGB", mask.size, colour), (context_px, context_px), mask)
    edge = (context_px, context_px, context_px + inside - 1, context_px + inside - 1)
    ImageDraw.Draw(image).rectangle(edge, outline=colour)
    tile = Image.new("RGB", (image.width, image.height + _CAPTION_PX), "white")
    tile.paste(image)
    caption = _caption(positive, bool(target.has_mask[index]), bool(target.has_score[index]))
    ImageDraw.Draw(tile).text((2, image.height + 1), caption, fill=colour)
    return tile


def _caption(positive: bool, has_mask: bool, has_score: bool) -> str:
    # Short, for narrow patches.
    parts = [name for name, used in (("mask", has_mask), ("score", has_score)) if used]
    return f"{'+' if positive else '-'} {', '.join(parts) or 'not used'}"


def _sheet(tiles: list[Image.Image]) -> Image.Image:
    columns = min(_COLUMNS, len(tiles))
    width, height = (side + _GAP_PX for side in tiles[0].size)
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * width, number // columns * height))
    return sheet
