"""Names that other disks and languages have: bytes that are no text, and very long ones."""

import json
import os
from pathlib import Path

import pytest

from pointrend_repro.api.segment.naming import names_for
from segmenting import segment, write_model, write_photos


def bytes_of(count: int, letter: str) -> str:
    return letter * (count // len(letter.encode()))


def test_a_name_that_is_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    latin = os.fsdecode(b"\xe9t\xe9")
    write_photos(tmp_path / "photos", "a.png", f"{latin}.png")
    Path("photos", f"{latin}2.png").write_bytes(b"no picture")
    words = ("photos", "--weights", write_model(tmp_path, "4conv"), "--output", "out")
    code, told = segment(*words)
    assert code == 1
    assert "\n2 pictures, " in told
    assert "not read: photos/\ufffdt\ufffd2.png: " in told
    names = [i["file_name"] for i in json.loads(Path("out/images.json").read_text())["images"]]
    assert names == ["photos/a.png", "photos/\ufffdt\ufffd.png"]
    assert "overlays/%EF%BF%BDt%EF%BF%BD.jpg" in Path("out/index.html").read_text()
    assert Path("out/overlays/\ufffdt\ufffd.jpg").is_file()
    assert "2 pictures (2 were finished before)" in segment(*words)[1]


@pytest.mark.parametrize("letter", ["a", "\u00e9", "\u65e5"])
def test_names_as_long_as_a_disk_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, letter: str
) -> None:
    monkeypatch.chdir(tmp_path)
    stem = bytes_of(240, letter)
    write_photos(tmp_path / "photos", f"{stem}1.jpg", f"{stem}2.jpg")
    words = ("photos", "--weights", write_model(tmp_path, "deeplabv3"), "--output", "out")
    for kept in ("", " (2 were finished before)"):
        code, told = segment(*words)
        assert code == 0
        assert f"\n2 pictures{kept}" in told
    images = json.loads(Path("out/images.json").read_text())["images"]
    assert [image["file_name"] for image in images] == [f"photos/{stem}{k}.jpg" for k in (1, 2)]
    assert all(len(path.name.encode()) < 143 for path in Path("out").rglob("*"))


def test_short_names_are_unique_and_cut_between_letters() -> None:
    stems = [bytes_of(count, "\u65e5") for count in (120, 123, 240)]
    names = names_for([Path(f"{stem}.jpg") for stem in stems], taken=[])
    assert names[0] == bytes_of(120, "\u65e5")
    assert len({*names}) == 3
    assert all(len(name.encode()) <= 120 for name in names)
    assert names_for([Path("A.jpg"), Path("a.png")], taken=["a", "a_3"]) == ["A_2", "a_4"]


@pytest.mark.parametrize(
    ("one", "other"), [("\u00fc", "u\u0308"), ("\u00fc", "U\u0308"), ("ß", "SS")]
)
def test_names_that_are_one_on_macos(one: str, other: str) -> None:
    assert names_for([Path(f"a/{one}.jpg"), Path(f"b/{other}.jpg")], taken=[]) == [
        one,
        f"{other}_2",
    ]
    assert names_for([Path(f"{one}.jpg")], taken=[other]) == [f"{one}_2"]
