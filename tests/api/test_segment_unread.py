"""Files that are pictures to the user and are not read: each is listed, with what to do."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from pointrend_repro.api.loading import Model
from pointrend_repro.api.segment.owning import require_safe
from pointrend_repro.api.segment.pictures import find_pictures
from pointrend_repro.api.segment.reading import UnreadableError, read_pixels, state_of
from pointrend_repro.base.errors import UserError
from segmenting import segment, write_model, write_photos


@pytest.mark.parametrize("place", ["photos", "photos/*"])
def test_links_and_formats_that_lead_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = write_photos(tmp_path / "photos", "a.jpg")
    (photos / "dangling.jpg").symlink_to("nowhere.jpg")
    (photos / "loop.png").symlink_to("loop.png")
    (photos / "IMG_1.HEIC").write_bytes(b"ftypheic")
    # A raw file is a TIFF, of whose pictures Pillow takes a small preview.
    write_photos(tmp_path, "raw.tif")
    (tmp_path / "raw.tif").rename(photos / "DSC_1.NEF")
    (photos / "folder.jpg").mkdir()
    (photos / "notes").symlink_to("nowhere.txt")
    weights = write_model(tmp_path, "4conv")
    code, told = segment(place, "--weights", weights, "--output", "out")
    assert code == 1
    assert "\n1 picture, " in told
    assert sorted(line for line in told.splitlines() if line.startswith("not read: ")) == [
        "not read: photos/DSC_1.NEF: .nef is not read; convert it to JPEG or PNG",
        "not read: photos/IMG_1.HEIC: .heic is not read; convert it to JPEG or PNG",
        "not read: photos/dangling.jpg: is a link to nowhere.jpg, which is not there",
        "not read: photos/loop.png: is a link to loop.png, which is not there",
    ]
    page = (tmp_path / "out/index.html").read_text()
    assert "4 could not be read" in page


def test_a_folder_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.heic").write_bytes(b"ftypheic")
    weights = write_model(tmp_path, "4conv")
    with pytest.raises(UserError, match=r"none of 1 pictures can be read; .*a\.heic: \.heic is"):
        segment(tmp_path / "photos", "--weights", weights, "--output", tmp_path / "out")


def test_colours_of_more_than_8_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """12 bits in 16, as cameras and microscopes write them, would be read as nearly black."""
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos", "a.png")
    deep = np.full((20, 30, 3), 4000, np.uint16)
    for suffix in ("png", "tif"):
        cv2.imwrite(f"photos/deep.{suffix}", deep)
    code, told = segment("photos", "--weights", write_model(tmp_path, "4conv"), "--output", "out")
    assert code == 1
    for suffix in ("png", "tif"):
        reason = f"photos/deep.{suffix}: has more than 8 bits per channel (mode RGB); convert it to"
        assert f"not read: {reason} 8 bits" in told
    assert "2 could not be read" in Path("out/index.html").read_text()


@pytest.mark.parametrize("numpy_s", [True, False])
def test_a_picture_for_which_memory_does_not_suffice(
    numpy_s: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos", "a.png", "b.png")
    predict, calls = Model.predict, []

    def full(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            np.zeros(10**16) if numpy_s else torch.empty(10**16)
        return predict(*arguments)

    monkeypatch.setattr(Model, "predict", full)
    code, told = segment("photos", "--weights", write_model(tmp_path, "4conv"), "--output", "out")
    assert code == 1
    assert "photos/a.png: needs more memory than there is; make it smaller" in told
    assert len(json.loads(Path("out/images.json").read_text())["images"]) == 1


# --- what is read in part ----------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["gif", "webp", "tif", "png"])
def test_the_first_of_several_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos", "a.png")
    frames = [Image.new("RGB", (40, 30), shade) for shade in ("red", "green", "blue")]
    frames[0].save(f"photos/film.{suffix}", save_all=True, append_images=frames[1:])
    words = ("photos", "--weights", write_model(tmp_path, "4conv"), "--output", "out")
    for _ in range(2):
        code, told = segment(*words)
        assert code == 0
        assert f"only the first of 3 frames: photos/film.{suffix}\n" in told
        assert "a.png" not in told
        images = json.loads(Path("out/images.json").read_text())["images"]
        assert [image.get("frames") for image in images] == [None, 3]
        page = Path("out/index.html").read_text()
        assert "Of 1 picture with several frames, the first frame is shown." in page
        assert page.count("; first of 3 frames") == 1


def test_previews_of_cameras_are_no_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path, "a.jpg")
    with Image.open("a.jpg") as image:
        image.save("b.jpg", format="MPO", save_all=True, append_images=[image.resize((6, 4))])
    told = segment("b.jpg", "--weights", write_model(tmp_path, "4conv"), "--output", "out")[1]
    assert "frames" not in told


# --- what may not be read ----------------------------------------------------------------------


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder with pictures that somebody without a home may look at, until that is changed."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    write_photos(folder / "photos", "a.png")
    yield folder
    (folder / "photos").chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def nobody() -> Iterator[None]:
    """The rights of other users, also where root runs the tests."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield
    os.seteuid(was)


def forbid(path: Path, mode: int) -> None:
    me = os.geteuid()
    os.seteuid(os.getuid())
    path.chmod(mode)
    os.seteuid(me)


def test_folders_without_permission(shared: Path, nobody: None) -> None:
    photos = shared / "photos"
    forbid(photos, 0o000)
    with pytest.raises(UserError, match=r"photos: cannot be read: Permission denied$"):
        find_pictures([str(photos)], shared / "out")
    with pytest.raises(UserError, match=r"photos/a\.png: cannot be read: Permission denied$"):
        find_pictures([str(photos / "a.png")], shared / "out")
    with pytest.raises(UserError, match=r"photos/\*\.png: cannot be read: Permission denied$"):
        find_pictures([str(photos / "*.png")], shared / "out")
    # Names can be listed, and nothing else.
    forbid(photos, 0o744)
    (found,) = find_pictures([str(photos)], shared / "out").pictures
    with pytest.raises(UnreadableError, match=r"^cannot be read: Permission denied$"):
        state_of(found.path)


def test_an_output_without_permission(shared: Path, nobody: None) -> None:
    forbid(shared / "photos", 0o000)
    for output in (shared / "photos", shared / "photos/out"):
        with pytest.raises(UserError, match=r"cannot be read: Permission denied; choose another"):
            require_safe(output, [], models=1)


def test_a_picture_without_permission(shared: Path, nobody: None) -> None:
    path = shared / "photos/a.png"
    forbid(path, 0o000)
    state_of(path)
    with pytest.raises(UnreadableError, match=r"^cannot be read: Permission denied$"):
        read_pixels(path)


def test_a_picture_that_is_removed_meanwhile(tmp_path: Path) -> None:
    path = write_photos(tmp_path, "a.png") / "a.png"
    path.unlink()
    with pytest.raises(UnreadableError, match=r"^it is gone$"):
        state_of(path)
    with pytest.raises(UnreadableError, match=r"^no such image$"):
        read_pixels(path)
