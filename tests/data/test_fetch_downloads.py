"""`data fetch` from end to end: fetched once, right or not at all, and never over what is there."""

import errno
import fcntl
import hashlib
import io
import json
import logging
import os
import re
import shutil
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from file_server import cut_after, ignoring_ranges, other_bytes, running_server, saying
from small_downloads import WEIGHTS, Downloads, add_coco, pinned, published, zipped

from pointrend_repro import cli
from pointrend_repro.base.errors import UserError
from pointrend_repro.config.reading import load_dataset
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.coco import read_coco
from pointrend_repro.data.fetch import fetch as fetching
from pointrend_repro.data.fetch.planning import listing
from pointrend_repro.data.paths import UserData, data_paths

Builder = Callable[..., Path]


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Downloads]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_server() as server:
        yield Downloads(server, tmp_path)


@pytest.fixture
def coco(downloads: Downloads, coco_builder: Builder) -> Path:
    """The original of what the server offers as `coco`."""
    root = coco_builder(train_images=4, val_images=2)
    add_coco(downloads, root, train=4, val=2)
    return root


@pytest.fixture
def weights(downloads: Downloads) -> Path:
    """Where `weights`, of which no hash is published, will be."""
    downloads.add("weights", "imagenet", pinned(downloads.offer("R-50.pkl", WEIGHTS)))
    return downloads.data / "imagenet" / "R-50.pkl"


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def record_of(downloads: Downloads, name: str) -> dict[str, Any]:
    content = json.loads((downloads.data / ".fetched" / f"{name}.json").read_bytes())
    assert isinstance(content, dict)
    return content


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pointrend-repro", "data", "fetch", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_coco_by_the_command_line(
    downloads: Downloads,
    coco: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--data-dir", str(downloads.data), "--config-dir", str(downloads.config)]
    assert run_command(monkeypatch, "coco", *options) == 0
    fetched = downloads.data / "coco"
    assert contents(fetched) == contents(coco)
    split = read_coco(fetched / "val2017", fetched / "annotations/instances_val2017.json")
    assert len(split.images) == 2
    record = record_of(downloads, "coco")
    assert record["origin"] == "fetched"
    assert [f["file"] for f in record["files"]] == [
        "train2017.zip",
        "val2017.zip",
        "annotations.zip",
    ]
    first = record["files"][0]
    assert first["source"] == f"{downloads.server.url}/zips/train2017.zip"
    assert first["sha256"] == downloads.values["coco"]["files"][0]["sha256"]
    assert first["bytes"] == len(downloads.server.files["/zips/train2017.zip"])
    assert first["counts"] == {"train2017/*.jpg": 4}

    capsys.readouterr()
    assert run_command(monkeypatch, "--list", *options) == 0
    assert capsys.readouterr().out.split()[3:5] == ["there", "coco"]
    assert run_command(monkeypatch, "cocoa", *options) == 2
    assert "there is no download 'cocoa'; did you mean 'coco'?" in capsys.readouterr().err
    assert run_command(monkeypatch, *options) == 2
    assert "data fetch --list" in capsys.readouterr().err


def test_nothing_is_fetched_twice(downloads: Downloads, coco: Path, weights: Path) -> None:
    downloads.fetch("coco", "weights")
    asked, before = len(downloads.server.asked), contents(downloads.data)
    times = [p.stat().st_mtime_ns for p in sorted(downloads.data.rglob("*.json"))]
    downloads.fetch("weights", "coco")
    assert len(downloads.server.asked) == asked
    assert contents(downloads.data) == before
    # Snakemake runs again what depends on a newer record.
    assert [p.stat().st_mtime_ns for p in sorted(downloads.data.rglob("*.json"))] == times


def test_only_what_is_missing_is_fetched(downloads: Downloads, coco: Path) -> None:
    downloads.fetch("coco")
    downloads.server.asked.clear()
    (downloads.data / "coco/annotations/instances_val2017.json").unlink()
    train = downloads.data / "coco/annotations/instances_train2017.json"
    train.write_text("my own")
    downloads.fetch("coco")
    assert [asked.path for asked in downloads.server.asked] == ["/annotations/annotations.zip"]
    assert train.read_text() == "my own"


def test_a_cut_costs_only_what_is_left(downloads: Downloads, coco: Path) -> None:
    downloads.server.script = [cut_after(300), cut_after(0), saying(404)]
    with pytest.raises(UserError, match=r"404 Not Found; get train2017.zip by other means"):
        downloads.fetch("coco")
    part = downloads.data / "coco" / ".train2017.zip.part"
    assert part.stat().st_size == 300
    downloads.server.asked.clear()
    downloads.fetch("coco")
    assert downloads.server.asked[0].headers["range"] == "bytes=300-"
    assert contents(downloads.data / "coco") == contents(coco)


def test_wrong_bytes_are_refused(downloads: Downloads, coco: Path) -> None:
    downloads.server.script = [other_bytes]
    with pytest.raises(UserError, match=r"train2017.zip: has sha256 \w{64}, not \w{64}; get "):
        downloads.fetch("coco")
    assert contents(downloads.data / "coco") == {}
    assert len(downloads.server.asked) == 1


def test_pieces_that_do_not_belong_together_start_over(downloads: Downloads, coco: Path) -> None:
    downloads.server.script = [cut_after(300), other_bytes]
    downloads.fetch("coco")
    assert contents(downloads.data / "coco") == contents(coco)


def test_pieces_that_never_belong_together_are_refused(downloads: Downloads, coco: Path) -> None:
    downloads.server.script = [cut_after(300), other_bytes] * 9
    with pytest.raises(UserError, match="has sha256"):
        downloads.fetch("coco")
    assert len(downloads.server.asked) == 4


def test_another_url_is_tried(downloads: Downloads, caplog: pytest.LogCaptureFixture) -> None:
    good = downloads.offer("mirror/a.pkl", WEIGHTS)
    entry = published(f"{downloads.server.url}/gone/a.pkl", WEIGHTS)
    downloads.add("a", "a", entry | {"urls": [*entry["urls"], good]})
    with caplog.at_level(logging.WARNING):
        downloads.fetch("a")
    assert (downloads.data / "a/a.pkl").read_bytes() == WEIGHTS
    assert f"trying {good}" in caplog.text
    assert record_of(downloads, "a")["files"][0]["source"] == good


def test_the_first_download_is_pinned(downloads: Downloads, weights: Path) -> None:
    downloads.fetch("weights")
    weights.unlink()
    downloads.fetch("weights")
    weights.unlink()
    downloads.offer("R-50.pkl", WEIGHTS.replace(b"w", b"v"))
    with pytest.raises(UserError) as caught:
        downloads.fetch("weights")
    told = str(caught.value)
    assert "\n" not in told
    assert f"{downloads.server.url}/R-50.pkl: has sha256" in told
    assert "the file has changed; to accept the new one, remove that record" in told
    assert not weights.exists()
    (downloads.data / ".fetched/weights/R-50.pkl.json").unlink()
    downloads.fetch("weights")
    assert weights.read_bytes() == WEIGHTS.replace(b"w", b"v")


def test_a_file_is_on_the_disk_before_it_is_in_place(
    downloads: Downloads, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []

    def sync(number: int) -> None:
        synced.append((os.fstat(number).st_ino, weights.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    downloads.fetch("weights")
    assert (weights.stat().st_ino, False) in synced


def test_a_pin_survives_the_record_that_snakemake_deletes(
    downloads: Downloads, weights: Path
) -> None:
    downloads.fetch("weights")
    record = record_of(downloads, "weights")
    (downloads.data / ".fetched/weights.json").unlink()
    downloads.fetch("weights")
    assert record_of(downloads, "weights") == record
    weights.write_bytes(WEIGHTS + WEIGHTS)
    with pytest.raises(UserError, match=r"R-50.pkl: has sha256 .*move it away"):
        downloads.fetch("weights")


def test_a_page_is_not_pinned_as_weights(downloads: Downloads, weights: Path) -> None:
    for page in (b"<html>Please log in</html>", WEIGHTS[:-1]):
        downloads.offer("R-50.pkl", page)
        with pytest.raises(UserError, match="is not a whole pickle"):
            downloads.fetch("weights")
    downloads.offer("R-50.pkl", WEIGHTS)
    downloads.fetch("weights")
    assert weights.read_bytes() == WEIGHTS


def test_the_hash_in_a_name(downloads: Downloads) -> None:
    url = downloads.offer("model_final_000000.pkl", WEIGHTS)
    downloads.add("zoo", "zoo", pinned(url, md5_prefix="000000"))
    with pytest.raises(UserError, match=r"has md5 \w{32}, not 000000\.\.\. as its name says \(if"):
        downloads.fetch("zoo")


@pytest.mark.parametrize("key", ["sha256_prefix", "md5_prefix"])
def test_a_name_that_is_wrong_does_not_keep_the_file_away(downloads: Downloads, key: str) -> None:
    """Publishers do replace files under old names; the message has what to write instead."""
    url = downloads.offer("net-000000.pkl", WEIGHTS)
    downloads.add("net", "net", pinned(url, **{key: "000000"}))
    with pytest.raises(UserError) as caught:
        downloads.fetch("net")
    told = re.search(
        r"if the name is wrong, put `(sha256): (\w{64})` in the place of `sha256` and "
        rf"`{key}` in config/downloads\.yaml",
        str(caught.value),
    )
    assert told
    assert "\n" not in str(caught.value)
    downloads.add("net", "net", pinned(url, **{told[1]: told[2]}))
    downloads.fetch("net")
    assert (downloads.data / "net/net-000000.pkl").read_bytes() == WEIGHTS


def test_the_sha256_in_a_name(downloads: Downloads) -> None:
    right = torch_file(legacy=True)  # once: it names storages by their place in memory
    begins = hashlib.sha256(right).hexdigest()[:8]
    name = f"net-{begins}.pth"
    url = downloads.offer(name, torch_file(legacy=False))
    downloads.add("net", "net", pinned(url, sha256_prefix=begins))
    with pytest.raises(UserError, match=rf"has sha256 \w{{64}}, not {begins}\.\.\."):
        downloads.fetch("net")
    downloads.offer(name, right)
    downloads.fetch("net")
    assert (downloads.data / "net" / name).read_bytes() == right
    assert record_of(downloads, "net")["files"][0]["published_hash"] is True


@pytest.mark.parametrize("legacy", [False, True])
def test_a_page_is_not_pinned_as_a_file_of_pytorch(downloads: Downloads, legacy: bool) -> None:
    right = torch_file(legacy=legacy)
    downloads.add("net", "net", pinned(downloads.offer("net.pth", right)))
    for page in (b"<html>Please log in</html>", b"", b"\x80", right[:10], WEIGHTS):
        downloads.offer("net.pth", page)
        with pytest.raises(UserError, match="is not a whole file of PyTorch"):
            downloads.fetch("net")
        assert contents(downloads.data / "net") == {}
    downloads.offer("net.pth", right)
    downloads.fetch("net")
    assert (downloads.data / "net" / "net.pth").read_bytes() == right


def torch_file(*, legacy: bool) -> bytes:
    """Weights as PyTorch saves them: since 1.6, or before."""
    stream = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def test_an_unsafe_archive_is_refused(downloads: Downloads, tmp_path: Path) -> None:
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "link").symlink_to("/etc")
    content = zipped(tmp_path, "evil").replace(b"evil/link", b"../v/link")
    unpack = {"places": ["evil"], "max_bytes": 1000}
    url = downloads.offer("evil.zip", content)
    downloads.add("evil", "evil", published(url, content, unpack=unpack))
    with pytest.raises(UserError, match="climbs out"):
        downloads.fetch("evil")
    assert contents(downloads.data / "evil") == {}
    assert not (downloads.data / ".fetched/evil.json").exists()


def test_data_of_the_users_own_are_counted_not_fetched(downloads: Downloads, coco: Path) -> None:
    shutil.copytree(coco, downloads.data / "coco")
    downloads.fetch("coco")
    assert downloads.server.asked == []
    record = record_of(downloads, "coco")
    assert record["origin"] == "found"
    assert record["files"][0]["counts"] == {"train2017/*.jpg": 4}
    assert contents(downloads.data / "coco") == contents(coco)


def test_a_link_is_as_good_as_a_folder(downloads: Downloads, coco: Path) -> None:
    downloads.data.mkdir()
    (downloads.data / "coco").symlink_to(coco)
    before = contents(coco)
    downloads.fetch("coco")
    assert downloads.server.asked == []
    assert contents(coco) == before


def test_an_incomplete_folder_is_refused_and_left_alone(downloads: Downloads, coco: Path) -> None:
    shutil.copytree(coco, downloads.data / "coco")
    next((downloads.data / "coco/train2017").iterdir()).unlink()
    before = contents(downloads.data / "coco")
    with pytest.raises(UserError, match=r"train2017/\*\.jpg: 3 files, not 4; complete the folder"):
        downloads.fetch("coco")
    assert contents(downloads.data / "coco") == before
    assert downloads.server.asked == []


def test_annotations_of_another_set_are_refused(downloads: Downloads, coco: Path) -> None:
    shutil.copytree(coco, downloads.data / "coco")
    path = downloads.data / "coco/annotations/instances_val2017.json"
    path.write_text('{"images": []}')
    with pytest.raises(UserError, match=r"instances_val2017.json: 0 categories, not 3"):
        downloads.fetch("coco")
    path.write_text("{")
    with pytest.raises(UserError, match=r"instances_val2017.json: not valid JSON"):
        downloads.fetch("coco")


def test_archives_that_the_user_has(downloads: Downloads, coco: Path) -> None:
    given = downloads.data / "downloads"
    given.mkdir(parents=True)
    for name, content in downloads.server.files.items():
        (given / Path(name).name).write_bytes(content)
    before = contents(given)
    downloads.fetch("coco")
    assert downloads.server.asked == []
    assert contents(downloads.data / "coco") == contents(coco)
    assert contents(given) == before
    assert record_of(downloads, "coco")["files"][0]["origin"] == "given"


def test_a_wrong_archive_of_the_users_is_left_alone(downloads: Downloads, coco: Path) -> None:
    given = downloads.data / "downloads" / "train2017.zip"
    given.parent.mkdir(parents=True)
    given.write_bytes(b"half an archive")
    with pytest.raises(UserError, match=r"train2017.zip: has 15 bytes, not \d+; remove it"):
        downloads.fetch("coco")
    assert given.exists()


def test_a_file_that_the_user_has_is_linked(downloads: Downloads, weights: Path) -> None:
    given = downloads.data / "downloads" / "R-50.pkl"
    given.parent.mkdir(parents=True)
    given.write_bytes(WEIGHTS)
    downloads.fetch("weights")
    assert weights.is_symlink()
    downloads.data.rename(downloads.folder / "moved")
    assert (downloads.folder / "moved/imagenet/R-50.pkl").read_bytes() == WEIGHTS


def test_a_link_to_nowhere(downloads: Downloads, coco: Path) -> None:
    downloads.data.mkdir()
    (downloads.data / "coco").symlink_to("/nowhere")
    with pytest.raises(UserError, match="is a link to /nowhere, which is not there"):
        downloads.fetch("coco")


def test_a_part_of_it_that_is_a_link_to_nowhere(downloads: Downloads, coco: Path) -> None:
    (downloads.data / "coco").mkdir(parents=True)
    (downloads.data / "coco/val2017").symlink_to("/nowhere")
    with pytest.raises(UserError, match="coco/val2017: is a link to /nowhere, which is not there"):
        downloads.fetch("coco")
    assert downloads.server.asked == []


def test_a_part_of_it_on_another_disk(
    downloads: Downloads, coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is unpacked is renamed into its place, which no system does across disks."""
    real = Path.stat

    def stat(path: Path, **options: Any) -> os.stat_result:
        found = real(path, **options)
        if "other disk" in os.path.realpath(path):
            values = list(found)
            values[2] += 1  # st_dev
            return os.stat_result(values)
        return found

    (downloads.data / "coco").mkdir(parents=True)
    (tmp_path / "other disk").mkdir()
    (downloads.data / "coco/annotations").symlink_to(tmp_path / "other disk")
    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(UserError, match=r"coco/annotations: is on another disk than .*/coco, "):
        downloads.fetch("coco")
    assert downloads.server.asked == []


def read_only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Refuse as Linux does for a disk that is mounted so, also for what is not there."""
    for name in ("unlink", "mkdir", "open"):
        real: Callable[..., Any] = getattr(os, name)

        def refused(
            path: Any, *rest: Any, real: Callable[..., Any] = real, name: str = name, **options: Any
        ) -> Any:
            is_reading = name == "open" and not (rest and rest[0] & (os.O_WRONLY | os.O_RDWR))
            if not is_reading and str(path).startswith(str(folder)):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return real(path, *rest, **options)

        monkeypatch.setattr(os, name, refused)


def test_a_disk_that_is_only_read(
    downloads: Downloads, coco: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(coco, downloads.data / "coco")
    weights.parent.mkdir()
    with monkeypatch.context() as patched:
        read_only(patched, downloads.data / "coco")
        downloads.fetch("coco")
    assert record_of(downloads, "coco")["origin"] == "found"
    read_only(monkeypatch, weights.parent)
    with pytest.raises(UserError, match=r"R-50\.pkl.*\.part.*: cannot be written: Read-only"):
        downloads.fetch("weights")


def test_a_full_disk_is_no_reason_to_ask_another_server(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its part, of another address, would replace the one that is to be continued."""
    url = downloads.offer("R-50.pkl", WEIGHTS)
    mirror = url.replace("127.0.0.1", "localhost")
    downloads.add("weights", "imagenet", pinned(url) | {"urls": [url, mirror]})
    with monkeypatch.context() as patched:
        patched.setattr(fetching, "sync_file", full)
        with pytest.raises(UserError, match="No space left"):
            downloads.fetch("weights")
    assert len(downloads.server.asked) == 1
    downloads.fetch("weights")
    assert downloads.server.asked[1].headers["range"] == f"bytes={len(WEIGHTS)}-"
    assert len(downloads.server.asked) == 2


def full(_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_link_of_ours_to_a_file_that_has_moved(downloads: Downloads, weights: Path) -> None:
    given = downloads.data / "downloads" / "R-50.pkl"
    given.parent.mkdir(parents=True)
    given.write_bytes(WEIGHTS)
    weights.parent.mkdir()
    weights.symlink_to("../../before/R-50.pkl")
    downloads.fetch("weights")
    assert weights.resolve() == given.resolve()


def test_a_mirror_that_calls_it_otherwise(downloads: Downloads) -> None:
    url = downloads.offer("s/abc/download", WEIGHTS)
    entry = pinned(url) | {"file_name": "R-50.pkl"}
    downloads.add("weights", "imagenet", entry | {"urls": [url, "https://a.org/R-50.pkl"]})
    downloads.fetch("weights")
    assert (downloads.data / "imagenet/R-50.pkl").read_bytes() == WEIGHTS


def test_who_misses_data_is_told_what_fetches_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_dataset("coco")
    told = r"^data/coco: no such folder; .*; `pointrend-repro data fetch coco` fetches it$"
    with pytest.raises(UserError, match=told):
        describe_dataset("coco", config, data_paths("coco", config, UserData()))


def test_a_small_disk_is_refused_before_anything_starts(
    downloads: Downloads, coco: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    # All three are unpacked, and the largest archive lies there meanwhile.
    sizes = [len(content) for content in downloads.server.files.values()]
    needed = 3 * 10**7 + max(sizes)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(0, 0, needed - 1))
    with pytest.raises(UserError, match=r"0.0 GB are needed and 0.0 GB are free; free some"):
        downloads.fetch("coco")
    assert downloads.server.asked == []
    assert not downloads.data.exists()
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(0, 0, needed))
    downloads.fetch("coco")


@pytest.mark.parametrize("name", ["..train2017.zip.part", ".train2017.zip"])
@pytest.mark.parametrize("given", [False, True])
def test_what_a_kill_left_unpacked_is_no_reason_to_refuse(
    downloads: Downloads, coco: Path, monkeypatch: pytest.MonkeyPatch, name: str, given: bool
) -> None:
    """The disk that was large enough for the first try is large enough for the next."""
    usage = namedtuple("usage", "total used free")
    content = downloads.server.files["/zips/train2017.zip"]
    left = downloads.data / "coco" / f"{name}.deadbeef.unpacking"
    (left / "train2017").mkdir(parents=True)
    (left / "train2017/half.jpg").write_bytes(b"0" * 10**6)
    if given:
        (downloads.data / "downloads").mkdir()
        (downloads.data / "downloads/train2017.zip").write_bytes(content)
    needed = 3 * 10**7 + max(len(content) for content in downloads.server.files.values())
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(0, 0, needed - 10**6 * left.exists()))
    lock = downloads.data / ".fetched" / "coco.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as other:  # it may be unpacking just now
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is fetching coco"):
            downloads.fetch("coco")
    assert left.exists()
    downloads.fetch("coco")
    assert contents(downloads.data / "coco") == contents(coco)


def test_two_processes_do_not_write_one_file(downloads: Downloads, weights: Path) -> None:
    lock = downloads.data / ".fetched" / "weights.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is fetching weights"):
            downloads.fetch("weights")
    downloads.fetch("weights")


def test_killed_before_the_record_was_written(
    downloads: Downloads, coco: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pointrend_repro.data.fetch.records.new_record", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            downloads.fetch("coco")
    assert (downloads.data / "coco/.train2017.zip.part").exists()
    downloads.fetch("coco")
    assert contents(downloads.data / "coco") == contents(coco)


def test_a_server_without_ranges_in_the_end_gives_all(downloads: Downloads, coco: Path) -> None:
    downloads.server.script = [cut_after(300), ignoring_ranges, cut_after(10), ignoring_ranges]
    downloads.fetch("coco")
    assert contents(downloads.data / "coco") == contents(coco)


def test_listing(downloads: Downloads, coco: Path, weights: Path) -> None:
    downloads.add("more", "more", published(downloads.offer("m.pkl", WEIGHTS), WEIGHTS), group="g")
    shutil.copytree(coco / "train2017", downloads.data / "coco/train2017")
    downloads.fetch("weights")
    lines = [" ".join(line.split()) for line in listing(downloads.catalogue(), downloads.data)]
    assert lines == [
        "coco 0 MB 2 of 3 files missing coco",
        "weights < 1 MB there weights",
        "more 0 MB not there more [g]",
    ]
