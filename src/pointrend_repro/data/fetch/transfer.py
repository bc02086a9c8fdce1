"""One file over HTTP: resumes partial downloads, retries, never mixes two versions of a file.

The server's ETag is kept beside the partial download, so that a later request continues only the
same version (RFC 9110, sections 13.1.5 and 14).
"""

import itertools
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_errors
from pointrend_repro.data.fetch.addresses import public_address
from pointrend_repro.data.fetch.answers import (
    check_status,
    offered,
    require_no_page,
    says_complete,
)
from pointrend_repro.data.fetch.arriving import Arriving
from pointrend_repro.data.fetch.asking import OneStepSession, asked
from pointrend_repro.data.fetch.parts import Part
from pointrend_repro.data.fetch.request import FileRequest, Patience, Report, TransientError
from pointrend_repro.data.fetch.speed import SpeedWatch

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')  # RFC 9110, 8.8.3


@dataclass(frozen=True)
class Arrived:
    """How a file arrived.

    Attributes:
        in_one_piece: all bytes are from one response.
        reached: the addresses that they came from, after redirects, without secrets.
    """

    in_one_piece: bool
    reached: list[str]


@dataclass(frozen=True)
class _Receiver:
    """What follows the arriving bytes: the progress display and the speed check."""

    report: Report
    patience: Patience
    clock: Callable[[], float]


def download(
    session: OneStepSession,
    request: FileRequest,
    path: Path,
    *,
    report: Report,
    patience: Patience,
    clock: Callable[[], float] = time.monotonic,
) -> Arrived:
    """Fetch a file into the partial download at `path`, continuing what is there.

    Args:
        clock: in s, for the lowest speed.

    Raises:
        UserError: the server refuses, fails too often, or offers another file; or `path` is not a
            plain file. What was fetched is kept for the next try, unless it is wrong.
    """
    receiver, place = _Receiver(report, patience, clock), public_address(request.url)
    part = Part(path)
    part.beside.discard()  # left by a kill
    in_one_piece = not part.exists
    furthest, failures = part.size, 0
    while True:
        try:
            with write_errors(path):
                _attempt(session, request, part, receiver)
            return Arrived(in_one_piece, part.reached(request.url))
        except TransientError as problem:
            in_one_piece = in_one_piece and not part.exists
            if part.size > furthest:
                furthest, failures = part.size, failures if problem.is_slow else 0
            failures += 1
            if failures >= patience.attempts:
                raise UserError(
                    f"{place}: {problem}, after {failures} tries; {part.size} bytes are kept in "
                    f"{path}: run the same command again to continue"
                ) from None
            wait_s = max(patience.wait_s(failures), problem.wait_s)
            _log.warning(
                "%s: %s; trying again in %.1f s", public_address(request.url), problem, wait_s
            )
            time.sleep(wait_s)


def _attempt(
    session: OneStepSession, request: FileRequest, part: Part, receiver: _Receiver
) -> None:
    headers = _range_headers(request, part)
    if request.size_bytes is not None and part.size == request.size_bytes:
        return
    with asked(session, request, {"Accept-Encoding": "identity"} | headers) as answer:
        check_status(answer, request)
        if answer.status_code == 416:
            _require_complete(answer, part, request.url)
            return
        start, total = offered(answer, request)
        if answer.status_code == 206 and not _continues(answer, request, part, start):
            part.discard()
            raise TransientError("the server sends another part than asked for; starting over")
        _receive(answer, request, part, receiver, start=start, total=total)


def _range_headers(request: FileRequest, part: Part) -> dict[str, str]:
    """Ask for the rest of a partial download, after dropping one that cannot be continued."""
    etag = part.etag(request.url) or ""
    # A weak one, W/"...", promises equivalent content but not the same bytes.
    is_strong = _STRONG_ETAG.fullmatch(etag) is not None
    too_long = part.size > (request.size_bytes or request.max_bytes)
    if too_long or not (is_strong or request.has_published_hash):
        part.discard()
    if not part.size:
        return {}
    headers = {"Range": f"bytes={part.size}-"}
    return headers | {"If-Range": etag} if is_strong else headers


def _continues(answer: requests.Response, request: FileRequest, part: Part, start: int) -> bool:
    """Whether the response begins where our part ends, and is of the same version."""
    if start != part.size:
        return False
    known, etag = part.etag(request.url), answer.headers.get("ETag")
    if request.has_published_hash:
        return known is None or etag is None or known == etag
    # A server that does not name the version may have ignored our condition, too.
    return start == 0 or known == etag


def _require_complete(answer: requests.Response, part: Part, url: str) -> None:
    had = part.size
    if "Content-Range" in answer.headers:  # it should be, but need not (RFC 9110, 15.5.17)
        is_complete = says_complete(answer, had)
    else:
        is_complete = part.is_whole(url)
    if not is_complete:
        part.discard()
        raise TransientError(f"the server has nothing from byte {had} on; starting over")


def _receive(
    answer: requests.Response,
    request: FileRequest,
    part: Part,
    receiver: _Receiver,
    *,
    start: int,
    total: int | None,
) -> None:
    # Not iter_content: it fills whole chunks, and loses a partial one if the connection breaks.
    chunks = iter(lambda: answer.raw.read1(_CHUNK_BYTES, decode_content=False), b"")
    first = next(chunks, b"")
    require_no_page(answer, request, first)
    etag, had, known = answer.headers.get("ETag"), part.size, part.etag(request.url)
    most, have = request.max_bytes if total is None else total, start
    speed = SpeedWatch(receiver.patience, receiver.clock)
    with Arriving(part, start, lambda: part.note(request.url, etag, answer.url, total)) as arriving:
        for chunk in itertools.chain([first], chunks):
            have += len(chunk)
            if have > most:
                break
            arriving.write(chunk)
            receiver.report(have, total)
            speed.count(len(chunk))
        # Without a length, the end of another version may as well be that of the connection.
        is_other = total is None and None not in (etag, known) and etag != known
        if have == total or (is_other and have <= most):
            arriving.replace()
        waits = arriving.waits
    if have > most:
        if not waits:
            part.discard()
        raise UserError(
            f"{public_address(request.url)}: the server sends more than {most} bytes: another "
            f"file; {request.advice}"
        )
    if total is not None and have < total:
        raise TransientError(f"the connection was cut at byte {have} of {total}")
    if waits:
        raise TransientError(f"the server sends {have} bytes where {had} are there already")
