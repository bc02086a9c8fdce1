"""A server's response about a file: status, length and range, read without trusting it."""

import email.utils
import re
import time

import requests

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch.addresses import public_address
from pointrend_repro.data.fetch.request import FileRequest, TransientError

LONGEST_WAIT_S = 300.0
_WORTH_ANOTHER_TRY = {408, 425, 429}
_REDIRECTS = range(300, 400)
# Up to a thousand petabytes; \d would also match digits of other scripts.
_NUMBER = "[0-9]{1,18}"
_PAGES = {"text/html", "application/xhtml+xml"}
_BEGINNINGS = (b"PK", b"\x80")  # of archives, also PyTorch's; of pickles


def check_status(answer: requests.Response, request: FileRequest) -> None:
    """Accept a response that brings bytes (200, 206) or says that there are no more (416).

    Raises:
        UserError: the server refuses.
        TransientError: another try may help.
    """
    code = answer.status_code
    if code in {200, 206, 416}:
        return
    if request.needs_login and code in _REDIRECTS:
        raise UserError(
            f"{public_address(request.url)}: the login has run out; run the same command again"
        )
    reason = "".join(c for c in answer.reason or "" if c.isprintable())[:60]
    answered = f"the server says {code} {reason}".rstrip()
    if code in _WORTH_ANOTHER_TRY or code >= 500:
        raise TransientError(answered, wait_s=asked_wait_s(answer, time.time()))
    raise UserError(f"{public_address(request.url)}: {answered}; {request.advice}")


def asked_wait_s(answer: requests.Response, now: float) -> float:
    """Return how long a server asks us to wait, in s, at most 300; 0 if it does not say.

    Args:
        now: in s since 1970, to interpret a date (RFC 9110, 10.2.3) in a response without a date of
            its own; the server's clock may differ from ours.
    """
    wish = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]+", wish):
        return min(float(wish), LONGEST_WAIT_S)
    until = _seconds(wish)
    if until is None:
        return 0.0
    server_now = _seconds(answer.headers.get("Date", ""))
    return min(max(until - (now if server_now is None else server_now), 0.0), LONGEST_WAIT_S)


def says_complete(answer: requests.Response, have: int) -> bool:
    """Return whether a response says that the whole file has as many bytes as we have."""
    found = re.fullmatch(rf"bytes \*/({_NUMBER})", answer.headers.get("Content-Range", "").strip())
    return found is not None and int(found[1]) == have


def require_no_page(answer: requests.Response, request: FileRequest, first: bytes) -> None:
    """Refuse a web page in place of the file, such as one that asks for a login.

    Args:
        first: the first bytes of the response. Some servers call a file a page that is none.

    Raises:
        UserError: it is a page.
    """
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_file = first.startswith(_BEGINNINGS) or first == b"P"
    if kind in _PAGES and answer.status_code == 200 and not is_file:
        raise UserError(
            f"{public_address(request.url)}: the server sends a web page ({kind}) and not the "
            f"file, as a network does that asks for a login; {request.advice}"
        )


def offered(answer: requests.Response, request: FileRequest) -> tuple[int, int | None]:
    """Return the byte at which the response starts, and the size of the whole file if it says.

    The start is -1 where the response is a part and does not say which.

    Raises:
        UserError: more bytes than the file may have.
        TransientError: another number of bytes than the file has, or not a number.
    """
    codings = answer.headers.get("Content-Encoding", "").lower().split(",")  # RFC 9110, 8.4
    if not {coding.strip() for coding in codings} <= {"", "identity"}:
        raise TransientError("the file is compressed in transit, though that was not asked for")
    start, total = _range(answer) if answer.status_code == 206 else (0, _length(answer))
    if total is not None and request.size_bytes is not None and total != request.size_bytes:
        raise TransientError(
            f"the server offers {total} bytes where {request.size_bytes} are expected: another file"
        )
    if total is not None and total > request.max_bytes:
        raise UserError(
            f"{public_address(request.url)}: the server offers {total} bytes where at most "
            f"{request.max_bytes} are expected: another file; {request.advice}"
        )
    return start, total if total is not None else request.size_bytes


def _range(answer: requests.Response) -> tuple[int, int | None]:
    text = answer.headers.get("Content-Range", "").strip()
    found = re.fullmatch(rf"bytes ({_NUMBER})-{_NUMBER}/({_NUMBER}|\*)", text)
    if found is None:
        return -1, None
    return int(found[1]), None if found[2] == "*" else int(found[2])


def _length(answer: requests.Response) -> int | None:
    text = answer.headers.get("Content-Length")
    if text is None:
        return None
    # One that stands there several times is joined by commas, and still one (RFC 9110, 8.6).
    numbers = {each.strip() for each in text.split(",")}
    number = numbers.pop()
    if numbers or not re.fullmatch(_NUMBER, number):
        raise TransientError(f"the server gives no number as the file's length: {text[:20]!r}")
    return int(number)


def _seconds(date: str) -> float | None:
    """Return an HTTP date in s since 1970, or None if it is not one."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
