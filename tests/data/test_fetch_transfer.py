"""Fetching a file from a server that misbehaves: the right bytes, or one clear line."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import (
    FileServer,
    cut_after,
    ignoring_ranges,
    of_length,
    other_bytes,
    running_server,
    saying,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch.asking import OneStepSession
from pointrend_repro.data.fetch.parts import Part
from pointrend_repro.data.fetch.request import FileRequest, Patience
from pointrend_repro.data.fetch.transfer import download

CONTENT = bytes(range(256)) * 40
QUICK = Patience(attempts=3, first_wait_s=0)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running_server() as state:
        state.files["/file.zip"] = CONTENT
        yield state


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "folder" / ".file.zip.part"


def wanted(server: FileServer) -> FileRequest:
    return FileRequest(
        url=f"{server.url}/file.zip",
        size_bytes=len(CONTENT),
        max_bytes=len(CONTENT),
        has_published_hash=True,
        advice="get it by other means",
    )


def of_unknown_size(server: FileServer) -> FileRequest:
    limit = 2 * len(CONTENT)
    return replace(wanted(server), size_bytes=None, max_bytes=limit, has_published_hash=False)


def get(file: FileRequest, part: Path, patience: Patience = QUICK) -> bool:
    with OneStepSession() as session:
        arrived = download(session, file, part, report=lambda done, total: None, patience=patience)
    return arrived.in_one_piece


def ranges(server: FileServer) -> list[str | None]:
    return [asked.headers.get("range") for asked in server.asked]


def test_a_whole_file_takes_one_request(server: FileServer, part: Path) -> None:
    assert get(wanted(server), part)
    assert part.read_bytes() == CONTENT
    assert ranges(server) == [None]


def test_a_cut_continues_where_it_was(server: FileServer, part: Path) -> None:
    server.script = [cut_after(1000), cut_after(500)]
    assert not get(wanted(server), part)
    assert part.read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000-", "bytes=1500-"]
    assert server.asked[1].headers["if-range"] == '"v1"'


def test_a_part_of_an_earlier_run_is_continued(server: FileServer, part: Path) -> None:
    server.script = [cut_after(1000)] + [cut_after(0)] * 2
    with pytest.raises(UserError, match=r"connection failed .*, after 3 tries; 1000 bytes"):
        get(wanted(server), part)
    assert part.read_bytes() == CONTENT[:1000]
    get(wanted(server), part)
    assert part.read_bytes() == CONTENT
    assert ranges(server)[-1] == "bytes=1000-"


@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=8), etag=st.sampled_from(['"a"', None]))
@settings(max_examples=25, deadline=None)
def test_any_sequence_of_cuts_ends_in_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], etag: str | None
) -> None:
    part = tmp_path_factory.mktemp("cuts") / "part"
    with running_server() as server:
        server.files["/file.zip"], server.etag = CONTENT, etag
        server.script = [cut_after(count) for count in cuts]
        get(wanted(server), part, Patience(attempts=len(cuts) + 1, first_wait_s=0))
    assert part.read_bytes() == CONTENT


def test_progress_gives_new_patience(server: FileServer, part: Path) -> None:
    server.script = [cut_after(100)] * 50
    get(wanted(server), part)
    assert part.read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_starts_over(server: FileServer, part: Path) -> None:
    server.script = [cut_after(1000), ignoring_ranges]
    get(wanted(server), part)
    assert part.read_bytes() == CONTENT


def test_a_new_version_starts_over(server: FileServer, part: Path) -> None:
    """Without a published hash nothing else would tell that two halves do not belong together."""
    server.script = [cut_after(1000)] * 1
    with pytest.raises(UserError):
        get(of_unknown_size(server), part, Patience(attempts=1))
    server.etag = '"v2"'
    server.files["/file.zip"] = new = CONTENT[::-1]
    get(of_unknown_size(server), part)
    assert part.read_bytes() == new


def test_a_part_that_nothing_vouches_for_is_not_continued(server: FileServer, part: Path) -> None:
    server.etag = None
    server.script = [cut_after(1000)]
    get(of_unknown_size(server), part)
    assert ranges(server) == [None, None]
    assert part.read_bytes() == CONTENT


def test_complete_but_not_known_to_be(server: FileServer, part: Path) -> None:
    """Killed between the last byte and the check: the server says 416, and that was all."""
    get(of_unknown_size(server), part)
    get(of_unknown_size(server), part)
    assert ranges(server) == [None, f"bytes={len(CONTENT)}-"]
    assert part.read_bytes() == CONTENT


def test_complete_by_what_was_announced(server: FileServer, part: Path) -> None:
    """Some servers, S3 among them, do not say with 416 how long the file is."""
    get(of_unknown_size(server), part)
    server.script = [saying(416)]
    get(of_unknown_size(server), part)
    assert ranges(server) == [None, f"bytes={len(CONTENT)}-"]
    part.write_bytes(CONTENT[:-1])
    server.script = [saying(416)]
    get(of_unknown_size(server), part)
    assert ranges(server)[2:] == [f"bytes={len(CONTENT) - 1}-", None]
    assert part.read_bytes() == CONTENT


def test_416_for_a_part_of_another_file_starts_over(server: FileServer, part: Path) -> None:
    get(wanted(server), part)
    server.files["/file.zip"] = short = CONTENT[:100]
    get(of_unknown_size(server), part)
    assert part.read_bytes() == short


@pytest.mark.parametrize("length", [len(CONTENT) + 50, len(CONTENT) - 50])
def test_a_false_length_once_is_survived(server: FileServer, part: Path, length: int) -> None:
    server.script = [of_length(length)]
    get(wanted(server), part)
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("length", [len(CONTENT) + 50, len(CONTENT) - 50])
def test_a_false_length_for_ever_is_told(server: FileServer, part: Path, length: int) -> None:
    server.script = [of_length(length)] * 9
    with pytest.raises(UserError, match=rf"offers {length} bytes where 10240 are expected"):
        get(wanted(server), part)
    assert not part.exists()


def test_a_false_length_of_a_file_of_unknown_size(server: FileServer, part: Path) -> None:
    server.script = [of_length(len(CONTENT) + 50)]
    get(of_unknown_size(server), part)
    assert part.read_bytes() == CONTENT


def test_no_length_at_all(server: FileServer, part: Path) -> None:
    server.script = [of_length(None)]
    get(wanted(server), part)
    assert part.read_bytes() == CONTENT


def test_more_than_a_file_may_have_is_refused(server: FileServer, part: Path) -> None:
    file = replace(of_unknown_size(server), max_bytes=100)
    with pytest.raises(UserError, match=r"offers 10240 bytes where at most 100"):
        get(file, part)
    server.script = [of_length(None)]
    with pytest.raises(UserError, match="sends more than 100 bytes"):
        get(file, part)
    assert not part.exists()


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_is_not_asked_again(server: FileServer, part: Path, code: int) -> None:
    server.script = [cut_after(1000), saying(code)]
    with pytest.raises(UserError) as caught:
        get(wanted(server), part)
    told = str(caught.value)
    assert told.startswith(f"{server.url}/file.zip: the server says {code} ")
    assert told.endswith("; get it by other means")
    assert "\n" not in told
    assert len(server.asked) == 2
    assert part.read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("code", [500, 502, 503, 408, 429])
def test_a_failure_is_asked_again(server: FileServer, part: Path, code: int) -> None:
    server.script = [saying(code, Retry_After=0)] * 2
    get(wanted(server), part)
    assert len(server.asked) == 3
    assert part.read_bytes() == CONTENT


def test_a_failure_that_stays_is_told(server: FileServer, part: Path) -> None:
    server.script = [saying(503)] * 9
    with pytest.raises(UserError, match="503 Service Unavailable, after 3 tries; 0 bytes"):
        get(wanted(server), part)
    assert len(server.asked) == 3


def test_waits_grow_and_follow_the_servers_wish(
    server: FileServer, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    server.script = [saying(500)] * 4 + [saying(503, Retry_After=77)]
    get(wanted(server), part, Patience(attempts=9, first_wait_s=1))
    for number, wait in enumerate(waits[:4]):
        assert 0.5 * 2**number <= wait <= 1.5 * 2**number
    assert waits[4] == 77


def test_a_timeout_is_tried_again(
    server: FileServer, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setattr("pointrend_repro.data.fetch.asking.TIMEOUT_S", (1, 0.1))
    server.script = [lambda handler, content: time.sleep(0.4)]
    get(wanted(server), part)
    assert part.read_bytes() == CONTENT


def test_nobody_answers(tmp_path: Path) -> None:
    with running_server() as server:
        file = wanted(server)
    with pytest.raises(UserError, match=r"the connection failed .*refused.*, after 3 tries"):
        get(file, tmp_path / "part")


def test_redirects_are_followed(server: FileServer, part: Path) -> None:
    server.pages[("GET", "/old.zip")] = lambda handler, _: handler.send(302, Location="/file.zip")
    get(replace(wanted(server), url=f"{server.url}/old.zip"), part)
    assert part.read_bytes() == CONTENT
    server.pages[("GET", "/round.zip")] = lambda handler, _: handler.send(
        302, Location="/round.zip"
    )
    with pytest.raises(UserError, match="leads nowhere"):
        get(replace(wanted(server), url=f"{server.url}/round.zip"), part.with_name("other"))


def test_wrong_bytes_are_for_the_hash_to_find(server: FileServer, part: Path) -> None:
    server.script = [cut_after(1000), other_bytes]
    assert not get(wanted(server), part)
    assert part.stat().st_size == len(CONTENT)
    Part(part).discard()
    assert list(part.parent.iterdir()) == []


def test_a_full_disk_is_one_line(
    server: FileServer, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pointrend_repro.data.fetch.transfer._receive", full)
    with pytest.raises(UserError, match="No space left on device; free some space"):
        get(wanted(server), part)


def test_warnings_name_the_url(
    server: FileServer, part: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = [saying(500)]
    with caplog.at_level(logging.WARNING):
        get(wanted(server), part)
    assert f"{server.url}/file.zip: the server says 500" in caplog.text
