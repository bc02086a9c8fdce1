"""One request for one file, with redirects followed if that is safe.

requests' own redirects go anywhere, also unencrypted, read each response on the way to its end,
however long, and raise ValueError for an invalid address.
"""

import contextlib
import logging
import os
from collections.abc import Iterator

import requests
from requests.auth import HTTPBasicAuth
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema, RequestException
from urllib3.exceptions import HTTPError

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch.addresses import (
    is_same_server,
    next_address,
    public_address,
    split_credentials,
    without_secrets,
)
from pointrend_repro.data.fetch.request import FileRequest, TransientError

TIMEOUT_S = (20, 60)  # to connect; between two chunks
# The user's own certificates, as of a company's proxy; the first that is set, as in requests.
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
MOST_REDIRECTS = 20
_TALKERS = ("urllib3.connection", "urllib3.connectionpool")
_REDIRECTS = {301, 302, 303, 307, 308}


class OneStepSession(requests.Session):
    """A session that returns a redirect instead of following it, its body unread."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Tell requests that there is nothing to follow."""


@contextlib.contextmanager
def asked(
    session: OneStepSession, request: FileRequest, headers: dict[str, str]
) -> Iterator[requests.Response]:
    """Request a file, and yield the response that has it; its `url` says from where.

    Failures of the connection inside the block are reported like those before it.

    Raises:
        UserError: the address leads nowhere, or to one that nothing may be fetched from.
        TransientError: the connection fails.
    """
    with contextlib.ExitStack() as open_answers, _no_secrets_in_the_log():
        try:
            answer = _followed(session, request, headers, open_answers)
            yield answer
        except (RequestException, HTTPError) as error:
            raise TransientError(f"the connection failed ({_cause(error)})") from None


@contextlib.contextmanager
def _no_secrets_in_the_log() -> Iterator[None]:
    """Cut the queries of URLs that urllib3 quotes when it warns about a malformed header."""

    def cut(record: logging.LogRecord) -> bool:
        message = " ".join(record.getMessage().split())
        record.msg, record.args, record.exc_info = without_secrets(message), (), None
        return True

    for name in _TALKERS:
        logging.getLogger(name).addFilter(cut)
    try:
        yield
    finally:
        for name in _TALKERS:
            logging.getLogger(name).removeFilter(cut)


def _followed(
    session: OneStepSession,
    request: FileRequest,
    headers: dict[str, str],
    open_answers: contextlib.ExitStack,
) -> requests.Response:
    url, credentials = _address(request, request.url)
    first, at_first = url, credentials
    for _ in range(MOST_REDIRECTS + 1):
        answer = open_answers.enter_context(_answer(session, request, url, headers, credentials))
        if request.needs_login or answer.status_code not in _REDIRECTS:
            return answer
        try:
            there = next_address(answer, has_hash=request.has_published_hash)
            url, credentials = split_credentials(there)
            if credentials is None and is_same_server(first, url):
                credentials = at_first
        except ValueError as error:
            raise _leads_nowhere(request, error) from None
        answer.close()
    raise UserError(
        f"{public_address(request.url)}: leads nowhere (more than {MOST_REDIRECTS} redirects); "
        f"{request.advice}"
    )


def _answer(
    session: OneStepSession,
    request: FileRequest,
    url: str,
    headers: dict[str, str],
    credentials: tuple[bytes, bytes] | None,
) -> requests.Response:
    login = HTTPBasicAuth(*credentials) if credentials else None
    try:
        return session.get(url, headers=headers, auth=login, stream=True, timeout=TIMEOUT_S)
    except (InvalidSchema, InvalidURL, MissingSchema) as error:
        raise _leads_nowhere(request, error) from None
    except RequestException:
        raise
    except ValueError as error:  # an invalid port or host
        raise _leads_nowhere(request, error) from None
    except OSError as error:
        raise not_asked(public_address(url), error) from None


def not_asked(place: str, error: OSError) -> UserError:
    """Say that a request could not be made, as where the named certificates are not there."""
    reason = without_secrets(" ".join(str(error).split()))[:300]
    named = next(filter(os.environ.get, CA_VARIABLES), None)
    advice = f"is {named} right?" if named else "try again"
    return UserError(f"{place}: not asked ({reason}); {advice}")


def _address(request: FileRequest, url: str) -> tuple[str, tuple[bytes, bytes] | None]:
    try:
        return split_credentials(url)
    except ValueError as error:
        raise _leads_nowhere(request, error) from None


def _leads_nowhere(request: FileRequest, error: Exception) -> UserError:
    reason = without_secrets(" ".join(str(error).split()))[:300]
    return UserError(f"{public_address(request.url)}: leads nowhere ({reason}); {request.advice}")


def _cause(error: BaseException) -> str:
    """The innermost reason: the errors wrapped around it repeat the URL at length."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {without_secrets(' '.join(str(error).split()))[:120]}"
