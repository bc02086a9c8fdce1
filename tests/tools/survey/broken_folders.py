"""Folders as annotation tools leave them: what each does to a good one, and where it was seen.

Numbers are issues of the named repository on GitHub. What has none is of a kind that they imply.
"""

import json
import shutil
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Entry = dict[str, Any]
Document = dict[str, Any]
Break = Callable[[Path], object]

SPLITS = ("train", "val")


def coco_file(root: Path, split: str) -> Path:
    return root / f"annotations/instances_{split}2017.json"


def edit(root: Path, change: Callable[[Document], object]) -> None:
    for split in SPLITS:
        path = coco_file(root, split)
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))


def in_each(key: str, change: Callable[[Entry], object]) -> Break:
    """Change every entry of one of the lists."""
    return lambda root: edit(root, lambda d: [change(entry) for entry in d[key]])


def objects(change: Callable[[Entry], object]) -> Break:
    return in_each("annotations", change)


def images(change: Callable[[Entry], object]) -> Break:
    return in_each("images", change)


def outlines(change: Callable[[list[list[float]]], Any], *, parts: int | None = None) -> Break:
    """Change polygons, or only those of so many parts."""

    def one(entry: Entry) -> None:
        value = entry["segmentation"]
        if isinstance(value, list) and parts in {None, len(value)}:
            entry["segmentation"] = change(value)

    return objects(one)


def pairs(polygon: list[float]) -> list[list[float]]:
    return [[x, y] for x, y in zip(polygon[::2], polygon[1::2], strict=True)]


def fractions(root: Path) -> None:
    def change(document: Document) -> None:
        without_rle(document)
        sizes = {image["id"]: (image["width"], image["height"]) for image in document["images"]}
        for entry in document["annotations"]:
            size = sizes[entry["image_id"]]
            for numbers in (*entry["segmentation"], entry["bbox"]):
                numbers[:] = [v / size[k % 2] for k, v in enumerate(numbers)]
            entry["area"] /= size[0] * size[1]

    edit(root, change)


def to_corners(entry: Entry) -> None:
    x, y, width, height = entry["bbox"]
    entry["bbox"] = [x, y, x + width, y + height]


def to_object(entry: Entry) -> None:
    x, y, w, h = entry["bbox"]
    entry["bbox"] = {"cx": x + w / 2, "w": w, "cy": y + h / 2, "h": h, "y": y, "x": x}


def some_corners(root: Path) -> None:
    edit(root, lambda d: [to_corners(entry) for entry in d["annotations"][::2]])


def ids_by_image(document: Document) -> None:
    counts: dict[int, int] = {}
    for entry in document["annotations"]:
        counts[entry["image_id"]] = entry["id"] = counts.get(entry["image_id"], 0) + 1


def an_id_twice(document: Document) -> None:
    document["annotations"][3]["id"] = document["annotations"][0]["id"]


def rename_ids(key: str, reference: str, new: Callable[[int], Any]) -> Break:
    def change(document: Document) -> None:
        for entry in document[key]:
            entry["id"] = new(entry["id"])
        for entry in document["annotations"]:
            entry[reference] = new(entry[reference])

    return lambda root: edit(root, change)


def as_uuid(number: int) -> str:
    return str(uuid.UUID(int=number * 7919))


def of_64_bits(number: int) -> int:
    """As a hash gives them: half of them above the largest number with a sign."""
    return 2**62 * (1 + 2 * (number % 2)) + number


def uuids_in_another_order(root: Path) -> None:
    rename_ids("categories", "category_id", as_uuid)(root)
    path = coco_file(root, "val")
    document = json.loads(path.read_text())
    document["categories"].reverse()
    path.write_text(json.dumps(document))


def both(*breaks: Break) -> Break:
    return lambda root: [each(root) for each in breaks]


def name(pattern: str) -> Break:
    return images(lambda e: e.update(file_name=pattern.format(e["file_name"])))


def here(root: Path) -> None:
    """The full paths of the pictures: right until the folder is copied or moved."""
    for split in SPLITS:
        path = coco_file(root, split)
        document = json.loads(path.read_text())
        for image in document["images"]:
            image["file_name"] = str((root / f"{split}2017" / image["file_name"]).absolute())
        path.write_text(json.dumps(document))


def equal_names(root: Path) -> None:
    """Frames of two videos, each of them in its folder: only the folder tells them apart."""
    for split in SPLITS:
        path = coco_file(root, split)
        document = json.loads(path.read_text())
        for k, image in enumerate(sorted(document["images"], key=itemgetter("file_name"))):
            old = root / f"{split}2017" / image["file_name"]
            old.rename(old.with_name(f"frame_{k:06d}.jpg"))
            image["file_name"] = rf"D:\task\{split}2017\frame_{k:06d}.jpg"
        path.write_text(json.dumps(document))


def decomposed_names(root: Path) -> None:
    """A disk of macOS spells ü as u and two dots; the browser that annotates does not."""
    for split in SPLITS:
        for path in (root / f"{split}2017").iterdir():
            path.rename(path.with_name(unicodedata.normalize("NFD", f"Müll {path.name}")))
    name("Müll {}")(root)


def pictures(root: Path) -> Iterator[Path]:
    for split in SPLITS:
        yield from sorted((root / f"{split}2017").iterdir())


STORED_AS = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def lay_on_side(root: Path, orientation: int = 6) -> None:
    """Store pictures as a telephone does that is held upright, without loss, as PNG."""
    for path in pictures(root):
        with Image.open(path) as image:
            stored = image.convert("RGB").transpose(STORED_AS[orientation])
        exif = Image.Exif()
        exif[274] = orientation
        stored.save(path.with_suffix(".png"), exif=exif)
        path.unlink()
    images(lambda e: e.update(file_name=str(Path(e["file_name"]).with_suffix(".png"))))(root)


def swap_sizes(entry: Entry) -> None:
    entry["width"], entry["height"] = entry["height"], entry["width"]


def without_rle(document: Document) -> None:
    kept = [a for a in document["annotations"] if isinstance(a["segmentation"], list)]
    document["annotations"] = kept


def deepen(ending: str, top: int) -> Break:
    """Make pictures grey, with `top` for white."""

    def change(root: Path) -> None:
        for path in pictures(root):
            with Image.open(path) as image:
                grey = np.asarray(image.convert("L")).astype(np.uint32)
            deep = (grey * top // 255).astype(np.uint16)
            deep[0, 0] = top
            Image.fromarray(deep).save(path.with_suffix(ending))
            path.unlink()
        images(lambda e: e.update(file_name=str(Path(e["file_name"]).with_suffix(ending))))(root)

    return change


def add_head(document: Document) -> None:
    for category in document["categories"]:
        category["supercategory"] = "my-project-v3"
    head = {"id": 0, "name": "my-project-v3", "supercategory": "none"}
    document["categories"].insert(0, head)


def join(root: Path, target: str) -> None:
    """One file, and all pictures in one folder."""
    documents = [json.loads(coco_file(root, split).read_text()) for split in SPLITS]
    joined = documents[0] | {
        key: documents[0][key] + documents[1][key] for key in ("images", "annotations")
    }
    for k, entry in enumerate(joined["annotations"]):
        entry["id"] = k
    shutil.rmtree(root / "annotations")
    path = root / target
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(joined))
    for picture in list(pictures(root)):
        folder = path.parent if path.parent.name == "train" else root / "images"
        folder.mkdir(exist_ok=True)
        picture.rename(folder / picture.name)
    for split in SPLITS:
        (root / f"{split}2017").rmdir()


def shout(root: Path) -> None:
    """As cameras name them: in capitals on the disk, and not so in the file."""
    for picture in list(pictures(root)):
        picture.rename(picture.with_name(f"IMG {picture.name.upper()}"))
    images(lambda e: e.update(file_name=f"img {e['file_name']}"))(root)


BROKEN: dict[str, Break] = {
    # --- boxes and areas
    "labelme 362: no box": objects(lambda e: e.pop("bbox")),
    "labelbee-client 11: no area": objects(lambda e: e.pop("area")),
    "areas of 0": objects(lambda e: e.update(area=0)),
    "negative areas": objects(lambda e: e.update(area=-e["area"])),
    "null for box and area": objects(lambda e: e.update(bbox=None, area=None)),
    "imglab 126: box as an object": objects(to_object),
    "box without an area": objects(lambda e: e.update(bbox=[0, 0, 0, 0])),
    "box of three numbers": objects(lambda e: e["bbox"].pop()),
    "corners": objects(to_corners),
    "corners of every other object": some_corners,
    "numbers as text": objects(
        lambda e: e.update(bbox=[str(v) for v in e["bbox"]], area=f" {e['area']}")
    ),
    # --- ids
    "cvat 298: image ids as text": rename_ids("images", "image_id", lambda n: f"{n:012d}"),
    "Mask_RCNN 1922 (VIA): image_id as text": objects(
        lambda e: e.update(image_id=str(e["image_id"]))
    ),
    "image ids of 64 bits without a sign": rename_ids("images", "image_id", of_64_bits),
    "category ids of 64 bits without a sign": rename_ids("categories", "category_id", of_64_bits),
    "image ids that are names": rename_ids("images", "image_id", lambda n: f"{n}_jpg.rf.5a7c"),
    "pylabel 46: category_id as text": objects(
        lambda e: e.update(category_id=str(e["category_id"]), iscrowd=float(e["iscrowd"]))
    ),
    "pylabel 6: iscrowd null, or text": objects(
        lambda e: e.update(iscrowd="1" if e["iscrowd"] else None)
    ),
    "category ids that are UUIDs": uuids_in_another_order,
    "ids with a decimal point": both(
        rename_ids("images", "image_id", float), rename_ids("categories", "category_id", float)
    ),
    "cvat 710, 679: annotation ids anew in each image": lambda r: edit(r, ids_by_image),
    "cvat 2155: all annotation ids 0": objects(lambda e: e.update(id=0)),
    "TACO 46: one annotation id twice": lambda r: edit(r, an_id_twice),
    "annotation ids as text": objects(lambda e: e.update(id=str(e["id"]))),
    "annotations without ids": objects(lambda e: e.pop("id")),
    # --- outlines
    "points as pairs": outlines(lambda value: [pairs(p) for p in value]),
    "points as pairs, one outline": outlines(lambda value: pairs(value[0]), parts=1),
    "points as objects": outlines(
        lambda value: [[{"x": x, "y": y} for x, y in pairs(p)] for p in value]
    ),
    "ybat 22, myvision 17, supervision 205: one list": outlines(lambda value: value[0], parts=1),
    "kili 1751: too many brackets": outlines(lambda value: [value]),
    "coco-annotator 526: a point beside an outline": outlines(
        lambda value: [[128.0, 128.0], *value, []]
    ),
    "YOLO's, put into COCO's format as they are": fractions,
    "coordinates as text": outlines(lambda value: [[f"{v!r}" for v in p] for p in value]),
    # --- file names
    "label-studio 7294: backslashes": name(r"images\{}"),
    "label-studio 7294: paths of Windows": name(r"..\..\label-studio\media\upload\4\{}"),
    "label-studio 4903: local files": name("data/local-files/photos/{}"),
    "label-studio-converter 168: address of a local file": name(
        "/data/local-files/?d=Ml%5Csets%5C{}"
    ),
    "labelflow 176: addresses": name("https://host.example/api/{}?X-Expires=300&name=a.b"),
    "buckets": name("s3://bucket/raw/{}"),
    "buckets with brackets": name("s3://bucket[1]/raw/{}"),
    "folders of another computer": name("/home/ann/photos/{}"),
    "folders of this computer": here,
    "cvat 4993: frames with equal names": equal_names,
    "names of macOS": decomposed_names,
    "names in other letters": shout,
    "names with another ending": images(
        lambda e: e.update(file_name=e["file_name"].replace(".jpg", ".JPEG"))
    ),
    # --- sizes and pictures
    "sizes as text": images(lambda e: e.update(width=str(e["width"]), height=f"{e['height']}.0")),
    "sizes of 0": images(lambda e: e.update(width=0, height=0)),
    "no sizes": images(lambda e: [e.pop("width"), e.pop("height")]),
    "label-studio 6608: sizes before EXIF": both(
        lambda r: edit(r, without_rle), lay_on_side, images(swap_sizes)
    ),
    "16 bits": deepen(".png", 65535),
    "12 bits in 16, TIFF": deepen(".tif", 4095),
    # --- categories and files
    "rf-detr 1303 (Roboflow): a category for the project": lambda r: edit(r, add_head),
    "CVAT: one file": lambda r: join(r, "annotations/instances_default.json"),
    "Label Studio: one file": lambda r: join(r, "result.json"),
    "Roboflow: train alone": lambda r: join(r, "train/_annotations.coco.json"),
    # --- several at once
    "VIA, all of it": both(
        outlines(lambda value: value[0], parts=1),
        objects(lambda e: [e.pop("area"), e.update(image_id=str(e["image_id"]))]),
        lambda r: edit(r, ids_by_image),
        name(r"C:\data\{}"),
        lambda r: join(r, "via_project_coco.json"),
    ),
    "pairs of text, corners, text for ids": both(
        objects(to_corners),
        outlines(lambda value: [[[f"{v}" for v in point] for point in pairs(p)] for p in value]),
        rename_ids("categories", "category_id", as_uuid),
        rename_ids("images", "image_id", str),
    ),
}
# What `data check` has nothing against, or could not know of.
ACCEPTED = {
    "areas of 0",
    "rf-detr 1303 (Roboflow): a category for the project",
}
# Of outlines alone: run lengths cannot be in fractions, or lie in doubt when pictures are turned.
NO_CROWDS = {
    "YOLO's, put into COCO's format as they are",
    "label-studio 6608: sizes before EXIF",
}
SPLIT = {key for key in BROKEN if "one file" in key or "alone" in key or "all of it" in key}
