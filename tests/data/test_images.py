from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointrend_repro.data.images import read_image
from pointrend_repro.errors import UserError

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
    with pytest.raises(UserError, match=r"a\.jpg: not a whole image") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.jpg: no such image; fetch it"):
        read_image(tmp_path / "gone.jpg")


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        read_image(tmp_path)


def test_deep_grey_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((2, 2), 3000, np.uint16)).save(path)
    with pytest.raises(UserError, match="more than 8 bits"):
        read_image(path)
