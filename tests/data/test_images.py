import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.cityscapes import image_size, read_instance_ids
from pointrend_repro.data.decoding import opened_picture
from pointrend_repro.data.images import read_image, read_picture, stored_size
from pointrend_repro.data.label_images import read_label_ids

# EXIF 2.32, tag 274: how to turn the upright picture into the stored one.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_rgb_png_comes_back_unchanged(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(picture).save(path)
    read = read_image(path)
    assert read.dtype == np.uint8
    assert read.flags.writeable
    np.testing.assert_array_equal(read, picture)


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_undone(tmp_path: Path, picture: np.ndarray, orientation: int) -> None:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[274] = orientation
    stored = np.ascontiguousarray(STORED[orientation](picture))
    Image.fromarray(stored).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path), picture)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("orientation", STORED)
def test_so_is_that_of_a_tiff(
    tmp_path: Path, picture: np.ndarray, orientation: int, mode: str, compression: str | None
) -> None:
    """Pillow turns these itself, and scrambles some that lie on their side if given their path."""
    path = tmp_path / "a.tif"
    upright = Image.fromarray(picture).convert(mode)
    with upright.convert("RGB") as image:
        expected = np.array(image)
    pixels = np.asarray(upright)
    stored = STORED[orientation](pixels.reshape(5, 7, -1)).reshape(
        *(pixels.shape[1::-1] if orientation > 4 else pixels.shape[:2]), *pixels.shape[2:]
    )
    Image.fromarray(np.ascontiguousarray(stored)).save(
        path, tiffinfo={274: orientation}, compression=compression
    )
    np.testing.assert_array_equal(read_image(path), expected)
    with opened_picture(path, otherwise="no image", advice="") as image:
        assert stored_size(image) == stored.shape[1::-1]


def test_broken_exif_is_overlooked(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(picture).save(path, exif=b"Exif\x00\x00MM\x00*\xff\xff")
    np.testing.assert_array_equal(read_image(path), picture)


def test_grey_has_three_equal_channels(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "a.png"
    grey = picture[:, :, 0]
    Image.fromarray(grey).save(path)
    np.testing.assert_array_equal(read_image(path), np.stack([grey] * 3, axis=2))


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (9, 6), (0, 255, 255, 0)).save(path, quality=100)
    read = read_image(path)
    assert read.shape == (6, 9, 3)
    np.testing.assert_allclose(read.reshape(-1, 3).mean(axis=0), [255, 0, 0], atol=3)


def test_transparency_is_dropped_not_blended(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "a.png"
    alpha = np.zeros((*picture.shape[:2], 1), np.uint8)
    Image.fromarray(np.concatenate([picture, alpha], axis=2)).save(path)
    np.testing.assert_array_equal(read_image(path), picture)


@pytest.mark.filterwarnings("error")
def test_palette_with_transparency(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    image.save(path, transparency=bytes([0, 128]))
    np.testing.assert_array_equal(read_image(path), [[[10, 20, 30], [200, 100, 50]]])


def test_one_pixel(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (1, 1), (1, 2, 3)).save(path)
    np.testing.assert_array_equal(read_image(path), [[[1, 2, 3]]])


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=f"a.{suffix}: not a whole image.*fetch it again"):
        read_image(path)


def test_not_an_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_text("<html>not found</html>")
    with pytest.raises(UserError, match=r"a\.jpg: not a whole image \(of no format") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.jpg: no such image$"):
        read_image(tmp_path / "gone.jpg")


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        read_image(tmp_path)


def test_deep_grey_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((2, 2), 3000, np.uint16)).save(path)
    with pytest.raises(UserError, match="more than 8 bits"):
        read_image(path)


def png_of_16_bits(path: Path, pixels: np.ndarray, colour_type: int) -> Path:
    """A PNG of pixels (H, W, channels) of 16 bits, of which Pillow writes only grey ones."""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return write_png(path, header, zlib.compress(rows))


# PNG's numbers for RGB, grey with alpha, and RGB with alpha.
COLOURS = {"RGB": 2, "LA": 4, "RGBA": 6}


@pytest.mark.parametrize("mode", COLOURS)
@pytest.mark.parametrize("brightest", [4095, 65535])
def test_a_single_picture_of_16_bits_is_refused(tmp_path: Path, mode: str, brightest: int) -> None:
    pixels = np.full((2, 3, len(mode)), brightest, np.uint16)
    path = png_of_16_bits(tmp_path / "a.png", pixels, COLOURS[mode])
    with pytest.raises(UserError, match=r"a\.png: has more than 8 bits per channel .*; convert it"):
        read_picture(path)


@pytest.mark.parametrize("mode", COLOURS)
def test_a_data_sets_images_of_12_bits_in_16_are_not_black_in_silence(
    tmp_path: Path, mode: str
) -> None:
    for name in ("a.png", "b.png"):
        pixels = np.full((2, 3, len(mode)), 4095, np.uint16)
        if mode.endswith("A"):
            pixels[:, :, -1] = 65535
        png_of_16_bits(tmp_path / name, pixels, COLOURS[mode])
    with pytest.warns(UserWarning, match="use at most 12 of their 16 bits.*`.*data mend`") as told:
        assert read_image(tmp_path / "a.png").max() == 15
    assert str(told[0].message).startswith(f"{tmp_path}: ")
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("default")
        for name in ("a.png", "b.png"):
            read_image(tmp_path / name)
    assert len(again) == 1


def tiff_of_planes(path: Path, pixels: np.ndarray) -> Path:
    """A TIFF of pixels (H, W, 3) of 16 bits, all of red, then green, then blue: TIFF 6.0, p. 38."""
    (height, width, _), start = pixels.shape, 8
    planes = [pixels[:, :, k].astype("<u2").tobytes() for k in range(3)]
    size, end = len(planes[0]), start + sum(map(len, planes))
    arrays = struct.pack("<3H3I3I", 16, 16, 16, *range(start, end, size), size, size, size)
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, end), (259, 3, 1, 1)]
    tags += [(262, 3, 1, 2), (273, 4, 3, end + 6), (277, 3, 1, 3), (278, 3, 1, height)]
    tags += [(279, 4, 3, end + 18), (284, 3, 1, 2)]
    folder = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<I", end + len(arrays))
    path.write_bytes(head + b"".join(planes) + arrays + folder + bytes(4))
    return path


def test_planes_of_16_bits_are_refused_since_pillow_takes_them_for_8(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 2**16, (4, 5, 3), dtype=np.uint16)
    path = tiff_of_planes(tmp_path / "a.tif", pixels)
    for read in (read_image, read_picture):
        with pytest.raises(UserError, match=r"a\.tif: has more than 8 bits per channel"):
            read(path)


@pytest.mark.parametrize("suffix", ["tif", "ppm", "jp2"])
def test_other_formats_of_16_bits(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), np.full((64, 48, 3), 4095, np.uint16))
    with pytest.raises(UserError, match="has more than 8 bits per channel"):
        read_picture(path)
    with pytest.warns(UserWarning, match="at most 12 of their 16 bits"):
        assert read_image(path).max() <= 16


def test_jpeg_2000_of_16_bits_behind_a_long_box(tmp_path: Path) -> None:
    """As XMP or a place on Earth fills before the pixels."""
    path = tmp_path / "a.jp2"
    cv2.imwrite(str(path), np.full((64, 48, 3), 4095, np.uint16))
    content = path.read_bytes()
    place = content.index(b"jp2c") - 4
    box = struct.pack(">I", 100_024) + b"uuid" + bytes(16) + bytes(100_000)
    path.write_bytes(content[:place] + box + content[place:])
    with pytest.raises(UserError, match="has more than 8 bits per channel"):
        read_picture(path)


@pytest.mark.parametrize("shape", [(64, 48), (64, 48, 3)])
def test_jpeg_2000_of_8_bits_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "a.jp2"
    cv2.imwrite(str(path), np.full(shape, 200, np.uint8))
    assert abs(int(read_picture(path).min()) - 200) <= 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("brightest", [0, 65535])
def test_a_data_sets_images_that_use_16_bits_are_read(tmp_path: Path, brightest: int) -> None:
    path = png_of_16_bits(tmp_path / "a.png", np.full((2, 3, 3), brightest, np.uint16), 2)
    assert read_image(path).max() == brightest >> 8


def of_size(path: Path, width: int, height: int) -> Path:
    """A grey PNG that says so of itself and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return write_png(path, header, zlib.compress(b"\0" * 100))


def write_png(path: Path, header: bytes, data: bytes) -> Path:
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


READERS = {
    "photograph": read_image,
    "instance ids": read_instance_ids,
    "size": image_size,
    "label ids": read_label_ids,
}


@pytest.mark.parametrize("kind", READERS)
def test_too_many_pixels_are_told_as_that(tmp_path: Path, kind: str) -> None:
    path = of_size(tmp_path / "a.png", 60_000, 60_000)
    with pytest.raises(UserError) as caught:
        READERS[kind](path)
    assert str(caught.value) == (
        f"{path}: has more than 178956970 pixels, which is not read; make it smaller"
    )


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("suffix", ["png", "avif", "dds", "tif", "webp"])
def test_no_damage_is_a_traceback(tmp_path: Path, kind: str, suffix: str) -> None:
    """Pillow's decoders end in SyntaxError, RuntimeError, NotImplementedError and others."""
    path, random = tmp_path / f"a.{suffix}", np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(40):
        damaged = whole[: random.integers(4, len(whole) + 1)].copy()
        places = random.integers(0, min(len(damaged), 400), 3)
        damaged[places] = random.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        told = ""
        try:
            READERS[kind](path)
        except UserError as error:
            told = str(error)
        assert "\n" not in told
        assert not told or told.startswith(str(path))
