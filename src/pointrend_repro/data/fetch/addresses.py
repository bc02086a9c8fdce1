"""URLs of downloads: which part of one may be shown, and where a server may redirect us."""

import re
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

import requests
from requests.utils import get_auth_from_url, requote_uri

_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
_HIDDEN = "..."
_LONGEST = 500


def split_credentials(url: str) -> tuple[str, tuple[bytes, bytes] | None]:
    """Return a URL without user and password, and these two (RFC 7617, as UTF-8) or None.

    Raises:
        ValueError: it is not a URL.
    """
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, None
    user, password = get_auth_from_url(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, (user.encode(), password.encode())


def public_address(url: str) -> str:
    """Return a URL without its possible secrets: user, password and the values of its query.

    Presigned URLs and mirrors that need an account have tokens there; records, logs and messages
    get this instead.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition(':')[0][:10]}:{_HIDDEN}"
    host = parts.netloc.rpartition("@")[2]
    names = [pair.partition("=")[0] for pair in re.split("[&;]", parts.query) if "=" in pair]
    query = "&".join(f"{name}={_HIDDEN}" for name in names) or (_HIDDEN if parts.query else "")
    text = f"{parts.scheme}://{host}{parts.path}{'?' if query else ''}{query}"
    return text if len(text) <= _LONGEST else text[:_LONGEST] + _HIDDEN


def without_secrets(text: str) -> str:
    """Return a library's message about a failure, cut where it quotes a URL."""
    found = re.sub(
        r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", lambda url: public_address(url[0]), text, flags=re.I
    )
    return re.sub(r"\?[^\s'\"<>]*=[^\s'\"<>]*", f"?{_HIDDEN}", found)


def is_encrypted(url: str) -> bool:
    """Return whether no one on the way can read or change the bytes: https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in _LOCAL_HOSTS


def next_address(answer: requests.Response, *, has_hash: bool) -> str:
    """Return where a redirect leads.

    Args:
        has_hash: wrong bytes would be noticed, so an unencrypted URL may redirect to another one.

    Raises:
        ValueError: in words, if it leads nowhere or to a URL that nothing may be fetched from.
    """
    here = answer.url
    # Servers send UTF-8; the header is read as Latin-1 (as in requests' own redirects).
    location = answer.headers.get("Location", "").encode("latin-1", "replace").decode("utf-8")
    if not location.strip():
        raise ValueError(f"{answer.status_code} without a redirect address")
    there = urljoin(here, requote_uri(location))
    scheme = urlsplit(there).scheme
    if scheme not in {"http", "https"} or not urlsplit(there).hostname:
        raise ValueError(f"on to {public_address(there)}, which is not a web address")
    if urlsplit(here).scheme == "https" and scheme != "https":
        raise ValueError(f"from https on to {public_address(there)}, which is not encrypted")
    if not has_hash and not is_encrypted(there):
        raise ValueError(
            f"on to {public_address(there)}, not encrypted, and no hash would reveal wrong bytes"
        )
    return there


def is_same_server(one: str, other: str) -> bool:
    """Return whether credentials for the first address may be sent to the second.

    This includes an upgrade from http to https, at the default ports.
    """
    before, after = _server(urlsplit(one)), _server(urlsplit(other))
    return before == after or (
        before[1] == after[1]
        and (before[0], before[2]) == ("http", 80)
        and (after[0], after[2]) == ("https", 443)
    )


def _server(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
