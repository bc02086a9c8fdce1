"""One file over HTTP: continues what was cut, tries again, never mixes two versions of a file.

The bytes grow in a `.part` file. Beside it lies the server's ETag, so that a later request
continues only the same version (RFC 9110, sections 13.1.5 and 14).
"""

import logging
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
from requests.exceptions import InvalidSchema, InvalidURL, RequestException, TooManyRedirects
from urllib3.exceptions import HTTPError

from pointrend_repro.errors import UserError
from pointrend_repro.files import read_json, write_errors, write_json

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = (20, 60)  # to connect; between two pieces
_LONGEST_WAIT_S = 300.0
_WORTH_ANOTHER_TRY = {408, 425, 429}

Report = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Wanted:
    """A file to fetch.

    Attributes:
        size_bytes: its size, or None where it is not published.
        max_bytes: no more than this is written.
        has_published_hash: wrong bytes will be noticed; otherwise a part is continued only if the
            server says that it is of the same version.
        follow_redirects: not where they mean that nobody is logged in.
        advice: what to do when the server refuses, as the end of a message.
    """

    url: str
    size_bytes: int | None
    max_bytes: int
    has_published_hash: bool
    advice: str
    follow_redirects: bool = True


@dataclass(frozen=True)
class Retry:
    """How often to try without getting any further, and how long to wait in between."""

    attempts: int = 6
    first_wait_s: float = 1.0

    def wait_s(self, failures: int) -> float:
        """Return twice as long each time, give or take a half: not all ask again at once."""
        return min(self.first_wait_s * 2.0 ** (failures - 1), 60) * random.uniform(0.5, 1.5)


class _TransientError(Exception):
    """A failure that another try may mend."""

    def __init__(self, told: str, wait_s: float = 0.0) -> None:
        super().__init__(told)
        self.wait_s = wait_s


def download(
    session: requests.Session, wanted: Wanted, part: Path, *, report: Report, retry: Retry
) -> bool:
    """Fetch a file into `part`, continuing what is there.

    Returns:
        Whether all bytes came in one piece from one answer.

    Raises:
        UserError: the server refuses, fails too often, or offers another file. What was fetched is
            kept for the next try, unless it is wrong.
    """
    in_one_piece = not part.exists()
    furthest, failures = _size(part), 0
    while True:
        try:
            with write_errors(part):
                _attempt(session, wanted, part, report)
            return in_one_piece
        except _TransientError as problem:
            in_one_piece = in_one_piece and not part.exists()
            if _size(part) > furthest:
                furthest, failures = _size(part), 0
            failures += 1
            if failures >= retry.attempts:
                raise UserError(
                    f"{wanted.url}: {problem}, after {failures} tries; {_size(part)} bytes are "
                    f"kept in {part}: run the same command again to continue"
                ) from None
            wait_s = max(retry.wait_s(failures), problem.wait_s)
            _log.warning("%s: %s; trying again in %.1f s", wanted.url, problem, wait_s)
            time.sleep(wait_s)


def discard(part: Path) -> None:
    """Remove a partial file that is proven wrong, and what is known of it."""
    part.unlink(missing_ok=True)
    _etag_path(part).unlink(missing_ok=True)


def _attempt(session: requests.Session, wanted: Wanted, part: Path, report: Report) -> None:
    headers = _range_headers(wanted, part)
    if wanted.size_bytes is not None and _size(part) == wanted.size_bytes:
        return
    try:
        with session.get(
            wanted.url,
            headers={"Accept-Encoding": "identity"} | headers,
            stream=True,
            timeout=_TIMEOUT_S,
            allow_redirects=wanted.follow_redirects,
        ) as answer:
            _check_status(answer, wanted)
            if answer.status_code == 416:
                _check_complete(answer, part)
                return
            start, total = _offered(answer, wanted, part)
            _receive(answer, wanted, part, start=start, total=total, report=report)
    except (TooManyRedirects, InvalidSchema, InvalidURL) as error:
        raise UserError(f"{wanted.url}: leads nowhere ({error}); {wanted.advice}") from None
    except (RequestException, HTTPError) as error:
        raise _TransientError(f"the connection failed ({_cause(error)})") from None


def _range_headers(wanted: Wanted, part: Path) -> dict[str, str]:
    """Ask for the rest of a part, after dropping one that cannot be continued."""
    etag = _known_etag(part, wanted.url)
    too_long = _size(part) > (wanted.size_bytes or wanted.max_bytes)
    if too_long or not (etag or wanted.has_published_hash):
        discard(part)
    if not _size(part):
        return {}
    headers = {"Range": f"bytes={_size(part)}-"}
    # A weak ETag does not promise the same bytes.
    return headers | {"If-Range": etag} if etag and not etag.startswith("W/") else headers


def _check_status(answer: requests.Response, wanted: Wanted) -> None:
    code = answer.status_code
    if code in {200, 206, 416}:
        return
    told = f"the server says {code} {answer.reason or ''}".rstrip()
    if answer.is_redirect:
        raise UserError(f"{wanted.url}: the login has run out; run the same command again")
    if code in _WORTH_ANOTHER_TRY or code >= 500:
        seconds = answer.headers.get("Retry-After", "")
        raise _TransientError(
            told, min(float(seconds), _LONGEST_WAIT_S) if seconds.isdecimal() else 0.0
        )
    raise UserError(f"{wanted.url}: {told}; {wanted.advice}")


def _check_complete(answer: requests.Response, part: Path) -> None:
    """The server has no byte after the last of ours: that was all, or ours are of another file."""
    found = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != _size(part):
        had = _size(part)
        discard(part)
        raise _TransientError(f"the server's file ends before byte {had}; starting over")


def _offered(answer: requests.Response, wanted: Wanted, part: Path) -> tuple[int, int | None]:
    """Return at which byte the answer starts, and how many the whole file has, if it says."""
    start, total = 0, None
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise _TransientError("the file is compressed on its way, though that was not asked for")
    if answer.status_code == 206:
        found = re.fullmatch(
            r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", "").strip()
        )
        start = int(found[1]) if found else -1
        total = int(found[2]) if found and found[2] != "*" else None
        known, etag = _known_etag(part, wanted.url), answer.headers.get("ETag")
        if start != _size(part) or (known and etag and known != etag):
            discard(part)
            raise _TransientError("the server sends another part than asked for; starting over")
    elif (length := answer.headers.get("Content-Length", "")).isdecimal():
        total = int(length)
    if total is not None and wanted.size_bytes is not None and total != wanted.size_bytes:
        raise _TransientError(
            f"the server offers {total} bytes where {wanted.size_bytes} are expected: another file"
        )
    if total is not None and total > wanted.max_bytes:
        raise UserError(
            f"{wanted.url}: the server offers {total} bytes where at most {wanted.max_bytes} are "
            f"expected: another file; {wanted.advice}"
        )
    return start, total if total is not None else wanted.size_bytes


def _receive(
    answer: requests.Response,
    wanted: Wanted,
    part: Path,
    *,
    start: int,
    total: int | None,
    report: Report,
) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    if start == 0:
        discard(part)
        write_json(_etag_path(part), {"url": wanted.url, "etag": answer.headers.get("ETag")})
    most, have = wanted.max_bytes if total is None else total, start
    with part.open("ab") as stream:
        # Not iter_content: it fills a chunk, and loses what it has of one when the line is cut.
        while chunk := answer.raw.read1(_CHUNK_BYTES, decode_content=False):
            have += len(chunk)
            if have > most:
                break
            stream.write(chunk)
            report(have, total)
    if have > most:
        discard(part)
        raise UserError(
            f"{wanted.url}: the server sends more than {most} bytes: another file; {wanted.advice}"
        )
    if total is not None and have < total:
        raise _TransientError(f"the connection was cut at byte {have} of {total}")


def _cause(error: BaseException) -> str:
    """The innermost reason: what libraries wrap around it names the URL again, at length."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _etag_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _known_etag(part: Path, url: str) -> str | None:
    """The ETag of a part that came from this very URL."""
    if not (part.exists() and _etag_path(part).exists()):
        return None
    try:
        known = read_json(_etag_path(part))
    except UserError:
        return None
    is_ours = isinstance(known, dict) and known.get("url") == url
    etag = known.get("etag") if is_ours else None
    return etag if isinstance(etag, str) else None
