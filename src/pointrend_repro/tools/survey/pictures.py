"""What a survey found, as a page to look at: objects on their images, sizes, and classes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from pointrend_repro.base.embedded import data_url
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import is_there, reading_errors, write_text
from pointrend_repro.base.palette import COLORS
from pointrend_repro.base.templates import page_templates
from pointrend_repro.data.cityscapes import (
    IMAGE_ENDING,
    instance_annotations,
    label_files,
    read_instance_ids,
)
from pointrend_repro.data.coco import ImageRecord, read_coco
from pointrend_repro.data.examples import read_record
from pointrend_repro.data.segmentations import Segmentation, segmentation_mask
from pointrend_repro.tools.survey.content import Split, SplitContent
from pointrend_repro.tools.survey.inspecting import Survey
from pointrend_repro.tools.survey.sizes import SizePlot, plot_sizes

IMAGES_OF_EACH_SPLIT = 12
_SIDE_PX = 480
_JPEG = {"quality": 82, "optimize": True}
_OPACITY = 0.4
_BEGIN, _TITLE_END = "<!DOCTYPE html>", ": objects on their images</title>"  # pictures.html.j2
_BEGIN_CHARACTERS = 4096


@dataclass(frozen=True)
class DrawnObject:
    """One object: its class as an index, its box (x0, y0, x1, y1), and its mask (H, W) if known."""

    label: int
    box: tuple[float, float, float, float]
    segmentation: Segmentation | None


@dataclass(frozen=True)
class DrawnImage:
    """An image on the page: its name, the picture as a `data:` URL, and what is drawn, in words."""

    name: str
    source: str
    width: int
    height: int
    told: str


@dataclass(frozen=True)
class SplitPictures:
    """A split's images on the page; `problem` says why boxes are drawn instead of masks."""

    name: Split
    images: tuple[DrawnImage, ...]
    problem: str


def require_page(path: Path) -> None:
    """Refuse to replace a file that is no such page.

    Raises:
        UserError: it is another one.
    """
    if not is_there(path):
        return
    with reading_errors(path), path.open(encoding="utf-8", errors="replace") as stream:
        begin = stream.read(_BEGIN_CHARACTERS)
    if not begin.startswith(_BEGIN) or _TITLE_END not in begin:
        raise UserError(f"{path}: exists, and is no page of pictures; choose another output")


def write_pictures(survey: Survey, output: Path) -> None:
    """Write a page that opens from disk: objects drawn on images, sizes as a plot, classes counted.

    Raises:
        UserError: it cannot be written.
    """
    templates = page_templates(Path(__file__).parent)
    plots: list[SizePlot] = [
        plot_sizes(name, [o.area for o in split.objects if not o.is_crowd])
        for name, split in survey.splits.items()
    ]
    counts = [survey.counts[name].by_class for name in survey.splits]
    page = templates.get_template("pictures.html.j2").render(
        survey=survey,
        splits=[_draw_split(survey, split) for split in survey.splits.values()],
        plots=plots,
        classes=[
            (category.name, [count[k] if k < len(count) else 0 for count in counts])
            for k, category in enumerate(survey.categories)
        ],
        most=max((n for count in counts for n in count), default=0) or 1,
    )
    write_text(output, page)


def _draw_split(survey: Survey, split: SplitContent) -> SplitPictures:
    with_objects = {o.image_id for o in split.objects} - split.missing
    records = [split.images[k] for k in with_objects if k in split.images]
    records.sort(key=lambda record: (record.path.name, record.id))
    step = max(1, -(-len(records) // IMAGES_OF_EACH_SPLIT))
    chosen, problem = records[::step], ""
    try:
        found = _with_masks(survey, split, chosen)
    except UserError as error:
        found, problem = _with_boxes(split, chosen), str(error)
    names = [category.name for category in split.categories]
    drawn = []
    for record in chosen:
        try:
            drawn.append(_draw(record, found[record.id], names))
        except UserError as error:  # is among the findings, too
            problem = problem or str(error)
    return SplitPictures(split.name, tuple(drawn), problem)


def _with_masks(
    survey: Survey, split: SplitContent, chosen: list[ImageRecord]
) -> dict[int, list[DrawnObject]]:
    """Read the masks of some images.

    Raises:
        UserError: the annotations are faulty.
    """
    if survey.layout == "cityscapes":
        labels = {category.id: k for k, category in enumerate(split.categories)}
        files = label_files(survey.root, split.name)
        return {
            record.id: [
                DrawnObject(labels[e["category_id"]], _corners(e["bbox"]), e["segmentation"])
                for e in instance_annotations(
                    read_instance_ids(files[record.path.name.removesuffix(IMAGE_ENDING)])
                )
                if e["category_id"] in labels
            ]
            for record in chosen
        }
    dataset = read_coco(split.images_dir, split.annotations)
    records = {record.id: record for record in dataset.images}
    return {
        record.id: [
            DrawnObject(a.label, a.box, a.segmentation) for a in records[record.id].annotations
        ]
        for record in chosen
    }


def _with_boxes(split: SplitContent, chosen: list[ImageRecord]) -> dict[int, list[DrawnObject]]:
    labels = {category.id: k for k, category in enumerate(split.categories)}
    found: dict[int, list[DrawnObject]] = {record.id: [] for record in chosen}
    for each in split.objects:
        if each.image_id in found:
            found[each.image_id].append(DrawnObject(labels[each.category_id], each.box, None))
    return found


def _draw(record: ImageRecord, objects: list[DrawnObject], names: list[str]) -> DrawnImage:
    pixels = read_record(record)
    height, width = pixels.shape[:2]
    scale = min(1.0, _SIDE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    for each in objects:
        if each.segmentation is not None:
            mask = segmentation_mask(each.segmentation, height, width)
            _tint(small, mask, ImageColor.getrgb(COLORS[each.label % len(COLORS)]))
    picture = Image.fromarray(small)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=11)
    for each in objects:
        color = ImageColor.getrgb(COLORS[each.label % len(COLORS)])
        x0, y0, x1, y1 = (value * scale for value in each.box)
        if each.segmentation is None:
            pen.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=color, width=2)
        place = (max(0.0, x0), max(0.0, y0))
        pen.rectangle(pen.textbbox(place, names[each.label], font=font), fill=(255, 255, 255))
        pen.text(place, names[each.label], fill=(0, 0, 0), font=font)
    labels = [each.label for each in objects]
    counts = {names[label]: labels.count(label) for label in sorted(set(labels))}
    told = ", ".join(f"{count} {name}" for name, count in counts.items()) or "no object"
    return DrawnImage(record.path.name, data_url(picture, "JPEG", **_JPEG), *size, told)


def _tint(small: NDArray[np.uint8], mask: NDArray[np.bool_], color: tuple[int, ...]) -> None:
    """Tint and outline a mask of the whole image in its reduced picture."""
    reduced = Image.fromarray(mask.astype(np.uint8) * 255).resize(
        small.shape[1::-1], Image.Resampling.BOX
    )
    inside = np.array(reduced) >= 128
    small[inside] = ((1 - _OPACITY) * small[inside] + _OPACITY * np.array(color)).astype(np.uint8)
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    small[inside & ~core] = np.array(color) // 2


def _corners(box: list[float]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x, y, x + width, y + height
