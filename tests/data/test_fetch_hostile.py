"""Servers that mean harm, or nonsense: one line, nothing mixed, nothing written elsewhere."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from file_server import Behaviour, FileServer, Handler, cut_after, good, running_server, saying
from hypothesis import given
from hypothesis import strategies as st

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch.answers import LONGEST_WAIT_S, asked_wait_s
from pointrend_repro.data.fetch.asking import OneStepSession
from pointrend_repro.data.fetch.parts import Part
from pointrend_repro.data.fetch.request import FileRequest, Patience, TransientError
from pointrend_repro.data.fetch.speed import SpeedWatch
from pointrend_repro.data.fetch.transfer import Arrived, download

OLD, NEW = bytes(range(256)) * 40, bytes(range(255, -1, -1)) * 40
QUICK = Patience(attempts=3, first_wait_s=0)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running_server() as state:
        state.files["/file.zip"] = OLD
        yield state


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "folder" / ".file.zip.part"


def hashed(server: FileServer, path: str = "/file.zip") -> FileRequest:
    return FileRequest(
        url=server.url + path,
        size_bytes=len(OLD),
        max_bytes=len(OLD),
        has_published_hash=True,
        advice="get it by other means",
    )


def pinned(server: FileServer, path: str = "/file.zip") -> FileRequest:
    file = hashed(server, path)
    return replace(file, size_bytes=None, max_bytes=2 * len(OLD), has_published_hash=False)


def get(wanted: FileRequest, part: Path, clock: Callable[[], float] = time.monotonic) -> Arrived:
    with OneStepSession() as session:
        return download(session, wanted, part, report=lambda *_: None, patience=QUICK, clock=clock)


def refuses(wanted: FileRequest, part: Path, *told: str) -> str:
    with pytest.raises(UserError) as caught:
        get(wanted, part)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < len(str(part)) + len(wanted.url) + 400
    for piece in told:
        assert piece in text
    return text


def with_other_bytes(handler: Handler, _: bytes) -> None:
    """The file changes, and its name of a version does not."""
    handler.state.files["/file.zip"] = NEW
    good(handler, NEW)


def redirect(to: str, code: int = 302) -> Behaviour:
    return lambda handler, _: handler.send(code, Location=to)


@pytest.mark.parametrize("etag", ['W/"v1"', "v1", '"v"1"', "", None])
def test_what_promises_no_bytes_is_not_continued(
    server: FileServer, part: Path, etag: str | None
) -> None:
    server.etag, server.script = etag, [cut_after(1000), with_other_bytes]
    get(pinned(server), part)
    assert part.read_bytes() == NEW
    assert [asked.headers.get("range") for asked in server.asked] == [None, None]


def test_a_weak_etag_is_enough_where_a_hash_would_tell(server: FileServer, part: Path) -> None:
    server.etag, server.script = 'W/"v1"', [cut_after(1000)]
    get(hashed(server), part)
    assert part.read_bytes() == OLD
    assert server.asked[1].headers["range"] == "bytes=1000-"
    assert "if-range" not in server.asked[1].headers


@pytest.mark.parametrize("etag", [None, 'W/"v1"', '"v2"'])
def test_a_rest_that_does_not_name_our_version(
    server: FileServer, part: Path, etag: str | None
) -> None:
    def rest(handler: Handler, content: bytes) -> None:
        content_range = f"bytes 1000-{len(NEW) - 1}/{len(NEW)}"
        handler.send(206, NEW[1000:], Content_Range=content_range, ETag=etag)

    server.script = [cut_after(1000), rest]
    get(pinned(server), part)
    assert part.read_bytes() == OLD


def test_a_part_that_is_a_link(server: FileServer, part: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    part.parent.mkdir()
    for make in (part.symlink_to, part.hardlink_to):
        make(victim)
        refuses(hashed(server), part, f"{part}: is ", "nothing is written to it; remove it")
        assert victim.read_text() == "precious"
        part.unlink()
    assert server.asked == []
    part.symlink_to(tmp_path / "nowhere")
    refuses(hashed(server), part, f"{part}: is a link")
    assert not (tmp_path / "nowhere").exists()


def test_a_part_that_becomes_a_link_meanwhile(
    server: FileServer, part: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")

    def swap(handler: Handler, content: bytes) -> None:
        part.unlink()
        part.symlink_to(victim)
        good(handler, content)

    server.script = [cut_after(1000), swap]
    get(hashed(server), part)
    assert part.read_bytes() == OLD
    opened = Part(tmp_path / "part")
    opened.path.symlink_to(victim)
    with pytest.raises(UserError, match="is a link"):
        opened.open()
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_part_that_is_no_file(
    server: FileServer, part: Path, make: Callable[[Path], None]
) -> None:
    part.parent.mkdir()
    make(part)
    refuses(hashed(server), part, f"{part}: is not a plain file")


DIGITS = "9" * 5000
ARABIC = "\u0663".encode().decode("latin-1")


@pytest.mark.parametrize("length", [DIGITS, "-5", "1e3", "\xb2", ARABIC, ",", ""])
def test_a_length_that_is_no_number(server: FileServer, part: Path, length: str) -> None:
    server.script = [lambda h, content: h.send(200, content, Content_Length=length)] * 9
    told = refuses(pinned(server), part, "no number as the file's length", "after 3 tries")
    assert DIGITS not in told


def test_a_length_that_stands_there_twice_is_one(server: FileServer, part: Path) -> None:
    """As RFC 9110, 8.6 allows: a proxy has added the same header again."""

    def twice(handler: Handler, content: bytes) -> None:
        handler.send_response(200)
        for _ in range(2):
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    server.script = [twice]
    get(pinned(server), part)
    assert part.read_bytes() == OLD
    assert len(server.asked) == 1


@pytest.mark.parametrize("coding", ["", "identity", "Identity", "IDENTITY", "identity, identity"])
def test_no_coding_by_any_of_its_names(server: FileServer, part: Path, coding: str) -> None:
    server.script = [lambda h, content: h.send(200, content, Content_Encoding=coding)]
    get(hashed(server), part)
    assert part.read_bytes() == OLD
    assert len(server.asked) == 1


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "identity, br"])
def test_a_coding_that_was_not_asked_for(server: FileServer, part: Path, coding: str) -> None:
    server.script = [lambda h, content: h.send(200, content, Content_Encoding=coding)] * 3
    refuses(hashed(server), part, "compressed in transit, though that was not asked for")


@pytest.mark.parametrize(
    "content_range", [f"bytes {DIGITS}-1/5", f"bytes 1000-1/{DIGITS}", "bytes 1000-", "", "x" * 999]
)
def test_a_range_that_is_none(server: FileServer, part: Path, content_range: str) -> None:
    server.script = [
        cut_after(1000),
        lambda h, content: h.send(206, content[1000:], Content_Range=content_range),
    ]
    get(hashed(server), part)
    assert part.read_bytes() == OLD


def test_no_more_bytes_by_a_number_that_is_none(server: FileServer, part: Path) -> None:
    server.script = [cut_after(1000), saying(416, Content_Range=f"bytes */{DIGITS}")]
    get(hashed(server), part)
    assert part.read_bytes() == OLD


PAGE = b"<html>Please log in to this network</html>"


def instead(body: bytes, **headers: object) -> Behaviour:
    """Anything but the file, without its length unless that is given."""
    return lambda handler, _: handler.send(200, body, **{"Content_Length": None} | headers)


@pytest.mark.parametrize("kind", ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"])
@pytest.mark.parametrize("had", [0, 9000])
def test_a_page_is_refused_and_costs_no_bytes(
    server: FileServer, part: Path, kind: str, had: int
) -> None:
    server.script = [cut_after(had), instead(PAGE, Content_Type=kind)] if had else []
    server.script = server.script or [instead(PAGE, Content_Type=kind)]
    refuses(hashed(server), part, "the server sends a web page (", "; get it by other means")
    assert len(server.asked) == (2 if had else 1)
    assert (part.read_bytes() if part.exists() else b"") == OLD[:had]
    get(hashed(server), part)
    assert part.read_bytes() == OLD
    assert server.asked[-1].headers.get("range") == (f"bytes={had}-" if had else None)


def test_an_archive_that_is_called_a_page_is_none(server: FileServer, part: Path) -> None:
    """PHP calls everything a page, if nobody says what it is."""
    content = b"PK\x03\x04" + OLD[4:]
    server.script = [instead(content, Content_Type="text/html")]
    get(hashed(server), part)
    assert part.read_bytes() == content


@pytest.mark.parametrize("request_of", [hashed, pinned])
def test_anything_without_a_length_does_not_cost_what_is_there(
    server: FileServer, part: Path, request_of: Callable[[FileServer], FileRequest]
) -> None:
    server.script = [cut_after(9000), instead(b"Please log in")]
    get(request_of(server), part)
    assert part.read_bytes() == OLD
    ranges = [asked.headers.get("range") for asked in server.asked]
    assert ranges == [None, "bytes=9000-", "bytes=9000-"]
    assert sorted(path.name for path in part.parent.iterdir()) == [part.name, f"{part.name}.json"]


def test_nothing_but_that_is_told_and_the_part_is_kept(server: FileServer, part: Path) -> None:
    server.script = [cut_after(9000)] + [instead(b"Please log in")] * 3
    told = "the server sends 13 bytes where 9000 are there already, after 3 tries; 9000 bytes"
    refuses(pinned(server), part, told)
    assert part.read_bytes() == OLD[:9000]


def test_a_new_beginning_counts_once_it_is_longer(server: FileServer, part: Path) -> None:
    """A server that ignores ranges and breaks off: what is there never becomes less."""

    def some(count: int) -> Behaviour:
        return lambda handler, _: handler.send(
            200, NEW[:count], Content_Length=len(NEW), ETag='"v2"'
        )

    server.script = [cut_after(5000), some(3000), saying(404)]
    refuses(hashed(server), part, "404 Not Found")
    assert part.read_bytes() == OLD[:5000]
    server.script = [some(6000), saying(404)]
    refuses(hashed(server), part, "404 Not Found")
    assert part.read_bytes() == NEW[:6000]
    assert Part(part).etag(f"{server.url}/file.zip") == '"v2"'
    server.script = [cut_after(0), instead(NEW, ETag='"v2"')]
    get(hashed(server), part)
    assert part.read_bytes() == NEW


@pytest.mark.parametrize("length", [100, None])
def test_a_new_version_may_be_shorter(server: FileServer, part: Path, length: int | None) -> None:
    """It says so by its length, or by another name of its version."""
    headers = {"Content_Length": length, "ETag": '"v2"'}
    server.script = [cut_after(5000), instead(NEW[:100], **headers)]
    get(pinned(server), part)
    assert part.read_bytes() == NEW[:100]


def test_what_a_kill_left_beside_the_part_is_removed(server: FileServer, part: Path) -> None:
    part.parent.mkdir()
    part.with_name(f"{part.name}.again").write_bytes(b"rest of another try")
    server.script = [cut_after(5000)]
    get(hashed(server), part)
    assert part.read_bytes() == OLD
    assert sorted(path.name for path in part.parent.iterdir()) == [part.name, f"{part.name}.json"]


BAD_PLACES = {
    "http://[::bad/x": "Invalid IPv6",
    "http://a:99999/x": "",
    "http://a:x/": "",
    "https:///x": "not a web address",
    "file:///etc/passwd": "not a web address",
    "ftp://127.0.0.1/x": "not a web address",
    "javascript:alert(1)": "not a web address",
    "": "302 without a redirect address",
    "   ": "302 without a redirect address",
    "\xff\xfe": "",
    "http://" + "a" * 70 + ".org/": "",
    "http://.org/": "",
}


@pytest.mark.parametrize("place", BAD_PLACES)
@pytest.mark.parametrize("kind", [hashed, pinned])
def test_a_redirect_to_nowhere(
    server: FileServer, part: Path, place: str, kind: Callable[[FileServer], FileRequest]
) -> None:
    server.script = [redirect(place)] * 9
    told = refuses(kind(server), part, BAD_PLACES[place])
    assert "leads nowhere" in told or "connection failed" in told
    assert "login" not in told


def test_a_redirect_without_end_is_not_read_to_its_end(server: FileServer, part: Path) -> None:
    """requests reads the body of every redirect, however long."""

    def endless(handler: Handler, _: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/file.zip")
        handler.end_headers()
        for _ in range(400):  # 26 MB, unless the client hangs up
            handler.wfile.write(b"x" * 65536)
        handler.state.pages["read", "to its end"] = good

    server.script = [endless]
    get(hashed(server), part)
    assert part.read_bytes() == OLD
    assert not server.pages


def test_the_place_that_was_reached(server: FileServer, part: Path) -> None:
    with running_server() as other:
        other.files["/there.zip"] = OLD
        other.script = [cut_after(1000)]
        there = other.url.replace("127.0.0.1", "localhost") + "/there.zip?Signature=s3cr3t"
        other.files["/there.zip?Signature=s3cr3t"] = OLD
        server.script = [redirect(there)] * 2
        assert get(pinned(server), part) == Arrived(False, [there.replace("s3cr3t", "...")])
    server.script = []
    plain = get(pinned(server), part.with_name(".other"))
    assert plain == Arrived(True, [f"{server.url}/file.zip"])


def test_pieces_of_two_places_name_both(server: FileServer, part: Path) -> None:
    local = server.url.replace("127.0.0.1", "localhost")
    server.pages[("GET", "/start.zip")] = lambda handler, _: handler.send(
        302, Location=local + "/file.zip" if len(server.asked) < 3 else "/file.zip"
    )
    server.script = [cut_after(1000)]
    arrived = get(pinned(server, "/start.zip"), part)
    assert arrived.reached == [f"{local}/file.zip", f"{server.url}/file.zip"]
    assert part.read_bytes() == OLD


def test_a_302_without_a_login_is_no_login(server: FileServer, part: Path) -> None:
    server.script = [redirect("")] * 2
    assert "login" not in refuses(hashed(server), part)
    refuses(replace(hashed(server), needs_login=True), part, "the login has run out")


def test_a_reason_beyond_reason(server: FileServer, part: Path) -> None:
    reason = "\u202e" + "A" * 5000

    def rude(handler: Handler, _: bytes) -> None:
        handler.wfile.write(f"HTTP/1.0 403 {reason}\r\n\r\n".encode())

    server.script = [rude]
    told = refuses(hashed(server), part, "the server says 403")
    assert told.isprintable()


class Clock:
    """Goes on by so many seconds each time that somebody looks."""

    def __init__(self, step_s: float) -> None:
        self.now, self.step_s = 0.0, step_s

    def __call__(self) -> float:
        self.now += self.step_s
        return self.now


def test_a_server_that_drips_is_given_up_on(server: FileServer, part: Path) -> None:
    """Each try brings some bytes, which is no reason to go on for ever."""

    def drip(handler: Handler, content: bytes) -> None:
        start = handler.range_start() or 0
        rest = content[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(rest)))
        handler.send_header("ETag", '"v1"')
        content_range = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.send_header("Content-Range", content_range)
        handler.end_headers()
        for byte in rest[:200]:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.001)  # so that it is not read at once

    server.script = [drip] * 9
    with pytest.raises(UserError) as caught:
        get(hashed(server), part, Clock(step_s=20))
    told = str(caught.value)
    assert "bytes a second, fewer than 1000, after 3 tries" in told
    assert f"{part.stat().st_size} bytes are kept in {part}" in told
    assert 0 < part.stat().st_size < len(OLD)
    assert part.read_bytes() == OLD[: part.stat().st_size]
    assert len(server.asked) == 3
    get(hashed(server), part)
    assert part.read_bytes() == OLD


@given(
    speed=st.floats(1, 10_000), step_s=st.floats(0.01, 50), limit=st.sampled_from([10.0, 1000.0])
)
def test_the_lowest_speed(speed: float, step_s: float, limit: float) -> None:
    """A steady server is left if and only if it is slower than the limit, and not too early."""
    now = 0.0
    patience = Patience(lowest_bytes_per_s=limit, slow_for_s=60)
    watch, sent, left_at = SpeedWatch(patience, lambda: now), 0, None
    while now < 600 and left_at is None:
        now += step_s
        number = int(now * speed) - sent
        sent += number
        try:
            watch.count(number)
        except TransientError as problem:
            left_at = now if problem.is_slow else -1.0
    if speed < limit - 1:
        assert left_at is not None
        assert 60 <= left_at <= 60 + 2 * step_s
    if speed > limit + 1:
        assert left_at is None


def test_a_pause_is_no_low_speed() -> None:
    now = 0.0
    watch = SpeedWatch(Patience(), lambda: now)
    for _ in range(10):
        now += 50
        watch.count(60_000)


@pytest.mark.parametrize(
    ("wish", "date", "expected"),
    [
        ("7", None, 7),
        ("0", None, 0),
        ("999999", None, LONGEST_WAIT_S),
        (DIGITS, None, LONGEST_WAIT_S),
        ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:07 GMT", 30),
        ("Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:07 1994", 30),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None, 17),
        ("Sun, 06 Nov 1994 08:49:07 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Fri, 31 Dec 2099 23:59:59 GMT", None, LONGEST_WAIT_S),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None, 0),
        ("Sun, 06 Nov 1994 08:49:37 +9999", None, 0),
        ("tomorrow", None, 0),
        ("-5", None, 0),
        ("1.5", None, 0),
        (ARABIC, None, 0),
        ("\xb2", None, 0),
        ("", None, 0),
        (None, None, 0),
    ],
)
def test_how_long_to_wait(wish: str | None, date: str | None, expected: float) -> None:
    """RFC 9110, 10.2.3, with all three forms of a date (5.6.7), by the server's own clock."""
    answer = requests.Response()
    headers = {"Retry-After": wish, "Date": date}
    answer.headers.update({name: value for name, value in headers.items() if value is not None})
    at_20 = 784111760.0  # 8:49:20
    assert asked_wait_s(answer, at_20) == pytest.approx(expected, abs=1e-6)


@given(st.text(max_size=40))
def test_whatever_is_wished_the_wait_has_an_end(wish: str) -> None:
    answer = requests.Response()
    answer.headers["Retry-After"] = wish
    assert 0 <= asked_wait_s(answer, time.time()) <= LONGEST_WAIT_S


def test_a_header_that_is_none_tells_no_secret(
    server: FileServer, part: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """urllib3 quotes the address in a warning."""

    def broken(handler: Handler, content: bytes) -> None:
        head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(content)}\r\nno header\r\n\r\n"
        handler.wfile.write(head.encode() + content)

    server.files["/file.zip?token=s3cr3t"] = OLD
    server.script = [broken]
    with caplog.at_level(logging.DEBUG):
        get(pinned(server, "/file.zip?token=s3cr3t"), part)
    assert "Failed to parse headers" in caplog.text
    assert "s3cr3t" not in caplog.text
    assert all(b"s3cr3t" not in path.read_bytes() for path in part.parent.iterdir() if path != part)
