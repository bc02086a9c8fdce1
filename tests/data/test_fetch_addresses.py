"""Addresses: what may be told of one, where a redirect may lead, and who gets a password."""

import base64
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from file_server import FileServer, Handler, cut_after, good, other_bytes, running_server, saying
from hypothesis import given
from hypothesis import strategies as st
from small_downloads import WEIGHTS, Downloads, pinned, published

from pointrend_repro import cli
from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch.addresses import (
    is_same_server,
    next_address,
    public_address,
    split_credentials,
    without_secrets,
)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://a.org/b/c.zip", "https://a.org/b/c.zip"),
        ("https://joe:s3cr3t@a.org:8443/b", "https://a.org:8443/b"),
        ("https://s3cr3t@a.org/b", "https://a.org/b"),
        ("https://joe:s3@cr3t@a.org/b", "https://a.org/b"),
        ("https://a.org/b?Signature=s3cr3t&id=7", "https://a.org/b?Signature=...&id=..."),
        ("https://a.org/b?s3cr3t", "https://a.org/b?..."),
        ("https://a.org/b#s3cr3t", "https://a.org/b"),
        ("http://[::s3cr3t", "http:..."),
        ("https://a.org/" + "b" * 10**5, "https://a.org/" + "b" * 486 + "..."),
    ],
)
def test_what_is_told_of_an_address(url: str, told: str) -> None:
    assert public_address(url) == told


@given(st.text("abz0:/@?=&%#[]. \\", max_size=12), st.text("ab:/?=.", max_size=8))
def test_no_address_gives_a_secret_away(before: str, after: str) -> None:
    for url in (f"https://u:S3CR3T@{after}", f"https://{after}?{before}k=S3CR3T"):
        assert "S3CR3T" not in public_address(url)


def test_what_a_library_says() -> None:
    told = (
        "Max retries exceeded with url: /a?token=s3cr3t (see 'https://u:s3cr3t@b.org/c?d=s3cr3t')"
    )
    assert without_secrets(told) == (
        "Max retries exceeded with url: /a?... (see 'https://b.org/c?...')"
    )
    assert without_secrets("Connection refused") == "Connection refused"


def test_user_and_password_apart() -> None:
    assert split_credentials("https://a.org/b@c") == ("https://a.org/b@c", None)
    url = "https://jo%40e:s%3A3%C3%A9@a.org:1/b?c#d"
    assert split_credentials(url) == ("https://a.org:1/b?c#d", (b"jo@e", "s:3é".encode()))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.org/b", "https://A.org:443/c", True),
        ("http://a.org/b", "https://a.org/b", True),
        ("https://a.org/b", "http://a.org/b", False),
        ("https://a.org/b", "https://a.org:444/b", False),
        ("http://a.org:81/b", "https://a.org/b", False),
        ("https://a.org/b", "https://a.org.evil.org/b", False),
        ("https://a.org/b", "https://b.a.org/b", False),
    ],
)
def test_who_gets_a_password(one: str, other: str, same: bool) -> None:
    assert is_same_server(one, other) == same


HASHED_ONLY = "not encrypted, and no hash would reveal wrong bytes"


@pytest.mark.parametrize(
    ("here", "location", "hashed", "pinned"),
    [
        ("https://a.org/b/c", "https://d.org/e", "https://d.org/e", "https://d.org/e"),
        ("https://a.org/b/c", "d", "https://a.org/b/d", "https://a.org/b/d"),
        ("https://a.org/b/c", "//d.org/e f", "https://d.org/e%20f", "https://d.org/e%20f"),
        ("https://a.org/b/c", "http://a.org/b/c", "from https on to", "from https on to"),
        ("https://a.org/b/c", "HTTP://a.org/b/c", "from https on to", "from https on to"),
        ("https://a.org/b/c", "http://127.0.0.1/d", "from https on to", "from https on to"),
        ("http://a.org/b/c", "http://d.org/e", "http://d.org/e", HASHED_ONLY),
        ("http://a.org/b/c", "/e", "http://a.org/e", HASHED_ONLY),
        ("http://a.org/b/c", "https://d.org/e", "https://d.org/e", "https://d.org/e"),
        ("http://127.0.0.1/c", "http://localhost/e", "http://localhost/e", "http://localhost/e"),
    ],
)
def test_where_a_redirect_may_lead(here: str, location: str, hashed: str, pinned: str) -> None:
    answer = requests.Response()
    answer.url, answer.status_code, answer.headers["Location"] = here, 302, location
    for has_hash, expected in ((True, hashed), (False, pinned)):
        try:
            found = next_address(answer, has_hash=has_hash)
        except ValueError as error:
            found = str(error)
        assert expected in found
        assert found == expected or "on to " in found


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Downloads]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with running_server() as server:
        yield Downloads(server, tmp_path)


TOKEN = base64.b64encode("joe:s3cr3té".encode()).decode()


def for_joe(handler: Handler, content: bytes) -> None:
    if handler.headers.get("Authorization") == f"Basic {TOKEN}":
        good(handler, content)
    else:
        handler.send(401)


def fetch_by_command(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> int:
    options = ["--data-dir", str(downloads.data), "--config-dir", str(downloads.config)]
    monkeypatch.setattr(sys, "argv", ["pointrend-repro", "data", "fetch", "w", *options])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


MISHAPS = {
    "none": [for_joe],
    "cut": [cut_after(100), for_joe],
    "refused": [saying(403)],
    "broken": [saying(500), for_joe],
    "wrong": [other_bytes],
    "wrong tail": [cut_after(100), other_bytes],
    "nowhere": [lambda handler, _: handler.send(302, Location="http://u:s3cr3t@[::bad")],
    "downgraded": [lambda handler, _: handler.send(302, Location="ftp://u:s3cr3t@a?b=s3cr3t")],
    "too large": [lambda handler, _: handler.send(200, Content_Length="9" * 14)],
}


@pytest.mark.parametrize("mishap", MISHAPS)
@pytest.mark.parametrize("kind", [published, pinned])
def test_no_secret_of_an_address_is_told_or_written(
    downloads: Downloads,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    mishap: str,
    kind: object,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    url = downloads.offer("w.pkl?token=s3cr3t", WEIGHTS)
    with_password = url.replace("//", "//joe:s3cr3t%C3%A9@")
    entry = published(url, WEIGHTS) if kind is published else pinned(url)
    downloads.add("w", "w", entry | {"urls": [with_password, with_password]})
    ends_well = mishap in {"none", "cut", "broken", "wrong tail"}
    downloads.server.script = MISHAPS[mishap] * (2 if ends_well else 20)
    with caplog.at_level(logging.DEBUG):
        code = fetch_by_command(downloads, monkeypatch)
    assert code == (0 if ends_well else 2)
    output = capfd.readouterr()
    written = [p for p in downloads.data.rglob("*") if p.is_file()]
    told = [caplog.text, output.out, output.err, *(p.read_text("latin-1") for p in written)]
    told += [str(path) for path in written]
    for secret in ("s3cr3t", TOKEN):
        assert not any(secret in text for text in told)
    assert code == 0 or output.err.count("\n") == output.err.count("pointrend-repro: error: ")


def test_the_record_names_the_place_that_was_reached(downloads: Downloads) -> None:
    url = downloads.offer("w.pkl", WEIGHTS)
    there = url.replace("127.0.0.1", "localhost") + "?Signature=s3cr3t"
    downloads.server.files["/w.pkl?Signature=s3cr3t"] = WEIGHTS
    downloads.server.script = [lambda handler, _: handler.send(302, Location=there)]
    downloads.add("w", "w", pinned(url))
    downloads.fetch("w")
    record = json.loads((downloads.data / ".fetched/w/w.pkl.json").read_bytes())
    assert record["source"] == url
    assert record["reached"] == [there.replace("s3cr3t", "...")]


def passwords_sent(server: FileServer) -> list[bool]:
    return ["authorization" in asked.headers for asked in server.asked]


def test_a_password_stays_with_its_server(downloads: Downloads) -> None:
    """Not: requests' way by a .netrc, which is the user's own word."""
    url = downloads.offer("w.pkl", WEIGHTS)
    with running_server() as other:
        other.files["/w.pkl"] = WEIGHTS
        places = ["/again.pkl", f"{downloads.server.url}/third.pkl", f"{other.url}/w.pkl"]
        for path in ("/again.pkl", "/third.pkl"):
            downloads.server.files[path] = WEIGHTS
        downloads.server.script = [
            lambda handler, _, place=place: handler.send(302, Location=place) for place in places
        ]
        downloads.add("w", "w", published(url.replace("//", "//joe:s3cr3t@"), WEIGHTS))
        downloads.fetch("w")
        assert passwords_sent(downloads.server) == [True, True, True]
        assert passwords_sent(other) == [False]


@pytest.mark.parametrize(
    "url", ["http://joe:s3cr3t@[::bad/x", "ftp://joe:s3cr3t@a.org/b", "http://joe:s3cr3t@"]
)
def test_a_catalogue_with_a_bad_address_tells_no_secret(downloads: Downloads, url: str) -> None:
    downloads.add("w", "w", pinned(url))
    with pytest.raises(UserError) as caught:
        downloads.catalogue()
    assert "s3cr3t" not in str(caught.value)
    assert "\n" not in str(caught.value)
