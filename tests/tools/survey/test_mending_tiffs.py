"""Pictures that Pillow or OpenCV turns upright by itself: neither turned twice nor not at all."""

import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from broken_folders import edit, images, objects, pictures
from mended_folders import mend, plan
from PIL import Image

from pointrend_repro.data.images import read_image
from pointrend_repro.tools.survey.inspecting import inspect_folder
from pointrend_repro.tools.survey.mending.depths import common_bits, write_8_bits

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MARK = 4095


def stored_pixels(channels: int) -> np.ndarray:
    """12 bits in 16, (6, 9) or (6, 9, 3), of which no two turns are alike."""
    shape = (6, 9, 3)[: 2 + (channels > 1)]
    values = np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)
    values[0, 1] = MARK
    return values


def upright_of(values: np.ndarray, orientation: int) -> np.ndarray:
    """What a reader of EXIF shows, in 8 bits (H, W, 3)."""
    shallow = Image.fromarray(np.rint(values * (255 / MARK)).astype(np.uint8)).convert("RGB")
    return np.asarray(shallow.transpose(UPRIGHT[orientation]))


def colour_tiff(path: Path, values: np.ndarray, orientation: int) -> None:
    """TIFF 6.0, section 6, with 16 bits a channel, which Pillow does not write."""
    height, width, _ = values.shape
    data = values.astype("<u2").tobytes()
    short, long = 3, 4
    tags = [
        *((256, short, 1, width), (257, short, 1, height), (258, short, 3, 8)),
        *((259, short, 1, 1), (262, short, 1, 2), (273, long, 1, 14), (274, short, 1, orientation)),
        *((277, short, 1, 3), (278, short, 1, height), (279, long, 1, len(data))),
    ]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags)
    header = struct.pack("<2sHI3H", b"II", 42, 14 + len(data), 16, 16, 16)
    path.write_bytes(header + data + directory + bytes(4))


def colour_png(path: Path, values: np.ndarray, orientation: int) -> None:
    """A PNG of 16 bits a channel with EXIF, which Pillow does not write."""
    plain = cv2.imencode(".png", values[:, :, ::-1])[1].tobytes()
    exif = Image.Exif()
    exif[274] = orientation
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(content)) + b"eXIf" + content
    after_header = 8 + 4 + 4 + 13 + 4
    crc = struct.pack(">I", zlib.crc32(b"eXIf" + content))
    path.write_bytes(plain[:after_header] + chunk + crc + plain[after_header:])


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_grey_tiffs_of_16_bits_come_out_upright_once(orientation: int, tmp_path: Path) -> None:
    values, path, out = stored_pixels(1), tmp_path / "a.tif", tmp_path / "b.tif"
    Image.fromarray(values).save(path, tiffinfo={274: orientation})
    write_8_bits(path, out, 12)
    np.testing.assert_array_equal(read_image(out), upright_of(values, orientation))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(("ending", "write"), [(".tif", colour_tiff), (".png", colour_png)])
def test_so_do_those_in_colour_or_are_left(
    orientation: int, ending: str, write: object, tmp_path: Path
) -> None:
    """OpenCV turns TIFFs that keep their size, and reads no others; it turns no PNG."""
    values, path, out = stored_pixels(3), tmp_path / f"a{ending}", tmp_path / f"b{ending}"
    write(path, values, orientation)  # type: ignore[operator]
    _, good, left = common_bits([path])
    if not good:
        assert orientation > 4
        assert ending == ".tif"
        assert "its 16 bits cannot be read" in left[path]
        return
    write_8_bits(path, out, 12)
    np.testing.assert_array_equal(read_image(out), upright_of(values, orientation))


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_right_folder_of_tiffs_stays(orientation: int, generated: Path, tmp_path: Path) -> None:
    """Its sizes are those of the upright pictures, and its objects lie on these."""
    root = as_tiffs(generated, tmp_path / "tiffs", orientation)
    assert not inspect_folder(root).faults
    assert (dict(plan(root).done), plan(root).left) == ({}, ())
    objects(lambda e: e.pop("area"))(root)
    mend(root, tmp_path / "out")
    assert not inspect_folder(tmp_path / "out").faults
    assert list(plan(root).done) == ["areas that were absent, 0 or negative, from the mask"]


def test_sizes_of_tiffs_that_lie_on_their_side(generated: Path, tmp_path: Path) -> None:
    root = as_tiffs(generated, tmp_path / "tiffs", 6)
    images(lambda e: [e.pop("width"), e.pop("height")])(root)
    assert list(mend(root, tmp_path / "out").done) == ["sizes of images that were absent"]
    assert not inspect_folder(tmp_path / "out").faults


def as_tiffs(good: Path, root: Path, orientation: int) -> Path:
    """A folder of the same upright pictures, stored as TIFFs that are turned."""
    back = {6: Image.Transpose.ROTATE_90, 3: Image.Transpose.ROTATE_180}[orientation]
    shutil.copytree(good, root)
    for path in list(pictures(root)):
        with Image.open(path) as image:
            stored = image.convert("RGB").transpose(back)
        stored.save(path.with_suffix(".tif"), tiffinfo={274: orientation})
        path.unlink()
    edit(root, lambda d: [e.update(file_name=f"{e['file_name'][:-4]}.tif") for e in d["images"]])
    return root
