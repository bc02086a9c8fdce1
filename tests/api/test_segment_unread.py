"""Files that are pictures to the user and are not read: each is listed, with what to do."""

from pathlib import Path

import pytest

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
    assert "\n1 pictures, " in told
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
