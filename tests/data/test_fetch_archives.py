"""Archives from elsewhere: what is unsafe is refused before anything is put in place."""

import os
import stat
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch import archive_checks, archives
from pointrend_repro.data.fetch.archive_checks import problem_of
from pointrend_repro.data.fetch.archives import UnsafeArchiveError, unpack

FILES = {"images/a.jpg": b"a" * 50, "images/deep/b.jpg": b"b" * 70, "README": b"unwanted"}


def write_zip(path: Path, files: dict[str, bytes] | list[tuple[str, bytes]]) -> Path:
    pairs = files.items() if isinstance(files, dict) else files
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # about names that stand there twice
        for name, content in pairs:
            archive.writestr(name, content)
    return path


def unpack_images(
    archive: Path,
    into: Path,
    *,
    max_bytes: int = 10**6,
    check: Callable[[Path], str | None] = lambda folder: None,
) -> None:
    unpack(
        archive,
        into,
        ["images"],
        name=archive.name,
        max_bytes=max_bytes,
        report=lambda done, total: None,
        check=check,
    )


def refuses(archive: Path, *told: str) -> None:
    """One line, and not a trace below the folder or beside it."""
    into = archive.parent / "data" / "into"
    with pytest.raises(UnsafeArchiveError) as caught:
        unpack_images(archive, into)
    for part in told:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(archive) in str(caught.value)
    found = sorted(p for p in archive.parent.rglob("*") if p.is_file() or p.is_symlink())
    assert found == [archive]


def test_puts_only_the_wanted_in_place(tmp_path: Path) -> None:
    unpack_images(write_zip(tmp_path / "a.zip", FILES), tmp_path / "into")
    found = {
        p.relative_to(tmp_path / "into").as_posix(): p.read_bytes()
        for p in (tmp_path / "into").rglob("*")
        if p.is_file()
    }
    assert found == {name: content for name, content in FILES.items() if name != "README"}


def test_files_are_on_the_disk_before_they_are_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power failure a folder of the right number of images would have empty ones."""
    into = tmp_path / "into"
    found: list[tuple[bool, int]] = []

    def sync() -> None:
        found.append(((into / "images").exists(), len(list(into.rglob("*.jpg")))))

    monkeypatch.setattr(os, "sync", sync)
    unpack_images(write_zip(tmp_path / "a.zip", FILES), into)
    assert found == [(False, 2)]


def test_what_is_there_stays(tmp_path: Path) -> None:
    own = tmp_path / "into" / "images" / "mine.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    unpack_images(write_zip(tmp_path / "a.zip", FILES), tmp_path / "into")
    assert [p.name for p in own.parent.iterdir()] == ["mine.jpg"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../evil", "climbs out"),
        ("images/../../evil", "climbs out"),
        ("/etc/evil", "absolute"),
        ("C:/evil", "absolute"),
        ("images\\..\\evil", "backslash"),
        ("images/a\0.jpg", "control character"),
        ("images/./b", "empty part"),
        ("images//b", "empty part"),
    ],
)
def test_paths_that_climb_out(tmp_path: Path, name: str, told: str) -> None:
    members = [zipfile.ZipInfo("images/a.jpg"), zipfile.ZipInfo("plain")]
    members[1].orig_filename = members[1].filename = name
    assert told in str(problem_of(members))
    if "\0" not in name:  # zipfile writes no such name
        refuses(write_zip(tmp_path / "a.zip", {"images/a.jpg": b"a", name: b"evil"}), told)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    member = zipfile.ZipInfo("images/link")
    member.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("images/a.jpg", b"a")
        archive.writestr(member, "/etc/passwd")
    refuses(tmp_path / "a.zip", "link or a device", "images/link")


def test_one_path_twice(tmp_path: Path) -> None:
    twice = [("images/a", b"1"), ("images/a", b"2")]
    refuses(write_zip(tmp_path / "a.zip", twice), "twice")
    refuses(write_zip(tmp_path / "a.zip", {"images/a": b"1", "images/A": b"2"}), "twice")
    both = {"images/a": b"1", "images/a/b": b"2"}
    refuses(write_zip(tmp_path / "a.zip", both), "as a file and as a folder")


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"images/a": b"1"})
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 8] |= 1  # the flag in the list of contents
    path.write_bytes(content)
    refuses(path, "encrypted")


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "a.zip", {"images/zeros": b"\0" * 10**7})
    refuses(path, "unpacks to 10000000 bytes where at most 1000000 are expected")
    with pytest.raises(UnsafeArchiveError, match="more than 100 times its own size"):
        unpack_images(path, tmp_path / "into", max_bytes=10**8)
    monkeypatch.setattr(archive_checks, "MAX_MEMBERS", 2)
    many = {f"images/{number}": b"" for number in range(3)}
    refuses(write_zip(tmp_path / "a.zip", many), "more than 500000 members")


def test_a_bomb_that_lies_about_its_size(tmp_path: Path) -> None:
    """Declared small in the list of contents, in truth large."""
    path = write_zip(tmp_path / "a.zip", {"images/zeros": bytes(range(256)) * 4000})
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = struct.pack("<I", 100)
    path.write_bytes(content)
    refuses(path, "damaged")


def test_damaged_archives(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "a.zip", FILES).read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[:-30])
    refuses(tmp_path / "a.zip", "damaged")
    start = whole.index(b"images/a.jpg") + len("images/a.jpg")
    (tmp_path / "a.zip").write_bytes(whole[:start] + b"\xff\xff" + whole[start + 2 :])
    refuses(tmp_path / "a.zip", "damaged")
    refuses(write_zip(tmp_path / "a.zip", {"pictures/a": b"1"}), "has no images")


def test_a_wrong_count_puts_nothing_in_place(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", FILES)
    seen = []

    def check(folder: Path) -> str:
        seen.append(sorted(p.name for p in (folder / "images").iterdir()))
        return "has 2 files, not 3"

    with pytest.raises(UnsafeArchiveError, match="has 2 files, not 3"):
        unpack_images(path, tmp_path / "into", check=check)
    assert seen == [["a.jpg", "deep"]]
    assert list((tmp_path / "into").iterdir()) == []


def test_a_kill_leaves_nothing_for_ever(tmp_path: Path) -> None:
    left = tmp_path / "into" / ".a.zip.1234abcd.unpacking"
    left.mkdir(parents=True)
    unpack_images(write_zip(tmp_path / "a.zip", FILES), tmp_path / "into")
    assert not left.exists()


PARTS = st.sampled_from(["..", ".", "", "images", "a", "A", "a.jpg", "C:", "~", " ", "\\", "é"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join) | st.text(min_size=1, max_size=8)


@given(names=st.lists(NAMES, max_size=4))
@settings(max_examples=60, deadline=None)
def test_whatever_the_names_nothing_lands_outside(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("names")
    try:
        archive = write_zip(folder / "a.zip", [(name, b"x") for name in ["images/z", *names]])
    except (UnicodeEncodeError, IndexError):
        return  # zipfile writes no such name
    into = folder / "data" / "into"
    try:
        unpack_images(archive, into)
    except UnsafeArchiveError:
        assert [p for p in folder.rglob("*") if not p.is_dir()] == [archive]
        return
    assert {p.name for p in folder.iterdir()} == {"a.zip", "data"}
    assert {p.name for p in into.iterdir()} == {"images"}
    assert (into / "images" / "z").read_bytes() == b"x"
    inside = [n for n in names if n.startswith("images/") and not n.endswith("/")]
    assert all((into / name).read_bytes() == b"x" for name in inside)


UNREAD = {"bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}
METHODS = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}


def packed(path: Path, method: str) -> bytes:
    with zipfile.ZipFile(path, "w", (METHODS | UNREAD)[method]) as archive:
        archive.writestr("images/a.jpg", bytes(range(256)) * 8)
        archive.writestr("images/é.jpg", b"b" * 70)
    return path.read_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_member_of_every_method(tmp_path: Path, method: str) -> None:
    whole = packed(tmp_path / "a.zip", method)
    start = whole.index(b"images/a.jpg") + len(b"images/a.jpg")
    (tmp_path / "a.zip").write_bytes(whole[: start + 20] + b"\xff" * 40 + whole[start + 60 :])
    refuses(tmp_path / "a.zip", "damaged")


@pytest.mark.parametrize("method", UNREAD)
def test_a_method_that_unpacks_all_at_once_is_refused(tmp_path: Path, method: str) -> None:
    """The one chunk that is asked for would be as large as the member really is."""
    packed(tmp_path / "a.zip", method)
    refuses(tmp_path / "a.zip", "compressed by another method than deflate", "images/a.jpg")


@pytest.mark.parametrize("method", METHODS)
def test_a_method_of_published_archives_is_unpacked(tmp_path: Path, method: str) -> None:
    packed(tmp_path / "a.zip", method)
    unpack_images(tmp_path / "a.zip", tmp_path / "into")
    assert (tmp_path / "into/images/a.jpg").read_bytes() == bytes(range(256)) * 8


def test_a_name_that_says_utf8_and_is_not(tmp_path: Path) -> None:
    whole = packed(tmp_path / "a.zip", "stored")
    (tmp_path / "a.zip").write_bytes(whole.replace("é".encode(), b"\xff\xff"))
    refuses(tmp_path / "a.zip", "damaged ('utf-8' codec can't decode")


@given(
    method=st.sampled_from(sorted(METHODS | UNREAD)),
    places=st.lists(st.integers(0, 10**6), min_size=1, max_size=4),
    value=st.integers(0, 255),
    cut=st.integers(0, 40),
)
@settings(max_examples=300, deadline=None)
def test_whatever_is_damaged_is_unpacked_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, method: str, places: list[int], value: int, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(packed(folder / "a.zip", method))
    for place in places:
        content[place % len(content)] = value
    (folder / "a.zip").write_bytes(content[: len(content) - cut])
    told = ""
    try:
        unpack_images(folder / "a.zip", folder / "into")
    except UserError as error:
        told = str(error)
    assert "\n" not in told
    assert not told or told.startswith(f"{folder / 'a.zip'}: ")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("images/" + "a" * 256, "has a name of more than 255 bytes"),
        ("images/" + "é" * 128, "has a name of more than 255 bytes"),
        ("images/" + "a/" * 1500 + "b", "has a path of more than 100 folders"),
    ],
)
def test_names_too_long_for_any_disk(tmp_path: Path, name: str, told: str) -> None:
    path = write_zip(tmp_path / "a.zip", {"images/a.jpg": b"a", name: b"b"})
    refuses(path, told)
    with pytest.raises(UnsafeArchiveError) as caught:
        unpack_images(path, tmp_path / "into")
    assert len(str(caught.value)) < len(str(path)) + 250


def test_a_path_too_long_for_this_disk_names_archive_and_member(tmp_path: Path) -> None:
    """Not called unsafe: it is kept, and unpacks where paths may be longer."""
    path = write_zip(tmp_path / "a.zip", {"images/" + "/".join(["a" * 200] * 30): b"b"})
    with pytest.raises(UserError, match=r"a\.zip: cannot be unpacked here: File name too long"):
        unpack_images(path, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


def test_a_giant_list_of_contents_is_not_taken_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(tmp_path / "a.zip", {f"images/{number}": b"" for number in range(20)})

    def parse(*_: object) -> None:
        raise AssertionError("a member was made")

    monkeypatch.setattr(archive_checks, "MAX_MEMBERS", 19)
    monkeypatch.setattr(zipfile.ZipInfo, "_decodeExtra", parse)
    refuses(path, "more than 500000 members")
    monkeypatch.setattr(archives, "_MAX_LIST_BYTES", 500)
    refuses(path, "a list of contents of 1", "bytes")


def test_many_paths_in_many_folders_take_little_memory() -> None:
    """Each folder of each path in a set, 25 MB here, is gigabytes for 500 000 such members."""
    below = "/".join(["a" * 200] * 90)
    members = [zipfile.ZipInfo(f"{number}/{below}") for number in range(30)]
    tracemalloc.start()
    assert problem_of(members) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6


@given(
    st.lists(st.lists(st.sampled_from("ab-."), min_size=1, max_size=3).map("/".join), max_size=6)
)
def test_a_file_with_something_below_it(names: list[str]) -> None:
    """Against all pairs of paths."""
    whole = [n for n in dict.fromkeys(names) if "." not in n.split("/")]
    expected = any(other.startswith(f"{name}/") for name in whole for other in whole)
    found = problem_of(zipfile.ZipInfo(name) for name in whole)
    assert ("as a file and as a folder" in str(found)) == expected
