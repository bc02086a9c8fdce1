"""What a person may write to name pictures, and which files of a folder are taken."""

from pathlib import Path

import pytest
from PIL import Image

from pointrend_repro.api.segment.pictures import SUFFIXES, find_pictures
from pointrend_repro.base.errors import UserError
from segmenting import segment, write_model, write_photos


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*places: str) -> list[str]:
    return [str(picture.path) for picture in find_pictures(places, Path("out")).pictures]


def test_pillow_reads_all_that_is_taken() -> None:
    kinds = Image.registered_extensions()
    readable = {suffix for suffix, kind in kinds.items() if kind in Image.OPEN}
    assert SUFFIXES - {".mpo"} <= readable  # of which it is known by their content


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("jfif", "JPEG"),
        ("jpe", "JPEG"),
        ("mpo", "MPO"),
        ("jp2", "JPEG2000"),
        ("ppm", "PPM"),
        ("pgm", "PPM"),
        ("tga", "TGA"),
    ],
)
def test_other_suffixes_of_pictures(here: Path, suffix: str, kind: str) -> None:
    (here / "photos").mkdir()
    Image.new("L" if suffix == "pgm" else "RGB", (20, 30), 200).save(f"photos/a.{suffix}", kind)
    words = ("--weights", write_model(here, "4conv"), "--output", "out")
    assert segment("photos", *words)[0] == 0
    assert Image.open("out/pictures/a.jpg").size == (20, 30)


def test_files_that_are_passed_over_are_counted(here: Path) -> None:
    photos = write_photos(here / "photos", "a.jpg", "inside/b.jpg")
    for name in ("a.mov", "B.MOV", "notes.txt", "README", ".DS_Store"):
        (photos / name).touch()
    words = ("--weights", write_model(here, "4conv"), "--output", "out")
    told = segment("photos", *words)[1]
    assert "passed over: 4 other files (2 .mov, " in told
    for kind in ("1 .txt", "1 without a suffix"):
        assert kind in told
    assert "passed over" not in segment("photos/a.jpg", *words)[1]
    (photos / "a.jpg").unlink()
    with pytest.raises(
        UserError, match=r"^photos: this folder has no pictures, only 4 other files"
    ):
        found("photos")


def test_patterns_leave_out_what_is_hidden(here: Path) -> None:
    write_photos(here, "p/a.jpg", "p/.thumbs/s/x.jpg", "p/.b.jpg", "p/c/d.jpg", ".mine/e.jpg")
    assert found("p/**/*.jpg") == found("**/*.jpg") == ["p/a.jpg", "p/c/d.jpg"]
    # Those that are named are meant.
    assert found("p/.thumbs/**/*.jpg") == ["p/.thumbs/s/x.jpg"]
    assert found(".mi*/*.jpg") == [".mine/e.jpg"]
    assert found("p/../.mine/*.jpg") == ["p/../.mine/e.jpg"]
    with pytest.raises(UserError, match=r"p/\.thumbs/\*\.jpg: this pattern fits no picture"):
        found("p/.thumbs/*.jpg")


def test_the_home_folder_in_quotes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(write_photos(here / "home", "p/a.jpg").resolve()))
    home = str(here / "home/p/a.jpg")
    assert found("~/p/*.jpg") == found("~/p") == found("~/p/a.jpg") == [home]
    write_photos(here / "~", "b.jpg")  # what is there under that very name
    assert found("~/b.jpg") == ["~/b.jpg"]


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("", r"^a picture or folder has an empty name; is a variable of the shell unset\?$"),
        ("~nobody-here/*.jpg", r"^~nobody-here/\*\.jpg: this pattern fits no picture"),
        ("a/**.jpg", r"^a/\*\*\.jpg: "),
    ],
)
def test_places_that_are_refused(here: Path, place: str, told: str) -> None:
    write_photos(here, "a.jpg", "inside/b.jpg")
    with pytest.raises(UserError, match=told):
        found(place)
