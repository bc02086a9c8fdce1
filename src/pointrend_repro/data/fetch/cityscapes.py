"""Cityscapes' packages, which need an account: the protocol of cityscapesscripts' `csDownload`.

Only the protocol: the library's own login prompts at the terminal, where a batch job would hang,
and deletes the user's credentials if they are refused. Source: cityscapesscripts 2.3.0,
`cityscapesscripts/download/downloader.py`.

The credentials are sent to the site and nowhere else: none of our files, logs or messages has them.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import appdirs
import requests
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.json_text import parse_json
from pointrend_repro.data.fetch.addresses import is_encrypted, public_address
from pointrend_repro.data.fetch.asking import (
    CA_VARIABLES,
    TIMEOUT_S,
    OneStepSession,
    not_asked,
)

USERNAME_VARIABLE = "CITYSCAPES_USERNAME"
PASSWORD_VARIABLE = "CITYSCAPES_PASSWORD"
_MOST_BYTES = 4_000_000  # of a page of the site; its list of packages has 8000


@dataclass(frozen=True)
class Credentials:
    """Credentials of an account at the site; never shown."""

    username: str = field(repr=False)
    password: str = field(repr=False)


def credentials_file() -> Path:
    """Return where `csDownload` stores the credentials, if its user has allowed it."""
    return Path(appdirs.user_data_dir("cityscapesscripts", "cityscapes")) / "credentials.json"


def find_credentials() -> Credentials | None:
    """Return the credentials in the environment or in csDownload's file, or None.

    Raises:
        UserError: only one of the two variables is set, or the file does not have both.
    """
    names = (USERNAME_VARIABLE, PASSWORD_VARIABLE)
    username, password = (os.environ.get(name, "") for name in names)
    if username and password:
        return Credentials(username, password)
    if username or password:
        raise UserError(f"set both environment variables {names[0]} and {names[1]}, or neither")
    path = credentials_file()
    if not path.is_file():
        return None
    try:
        content = parse_json(path.read_bytes())
        return Credentials(str(content["username"]), str(content["password"]))
    except (OSError, ValueError, KeyError, TypeError):
        # The parser's message is left out: it might quote the file's content.
        raise UserError(
            f'{path}: is not readable JSON with "username" and "password"; correct or remove it'
        ) from None


def login(site: str, credentials: Credentials) -> OneStepSession:
    """Open a session at the site.

    Raises:
        UserError: the site does not answer, refuses the credentials, or is not encrypted.
    """
    place = public_address(site)
    if not is_encrypted(site):
        raise UserError(f"{place}: is not https, so no password is sent there; correct `site`")
    session = OneStepSession()
    session.trust_env = False  # the user's .netrc must not replace these credentials
    session.proxies = requests.utils.get_environ_proxies(site)
    session.verify = next(filter(None, map(os.environ.get, CA_VARIABLES)), True)
    form = {"username": credentials.username, "password": credentials.password, "submit": "Login"}
    _ask(session, "GET", f"{site}/login")
    status, _ = _ask(session, "POST", f"{site}/login", form)
    if status != 302:  # a successful login leads on to the downloads
        raise UserError(
            f"{place}/login: the site refuses the username or password; correct "
            f"{USERNAME_VARIABLE} and {PASSWORD_VARIABLE}, or {credentials_file()}"
        )
    return session


def package_url(site: str, session: OneStepSession, package: str) -> str:
    """Return the URL from which a session fetches a package.

    Raises:
        UserError: the account may not have it, or the site answers something else.
    """
    url, place = f"{site}/downloads/?list", public_address(f"{site}/downloads/")
    _, answer = _ask(session, "GET", url)
    try:
        numbers = {str(e["name"]): _package_id(e["packageID"]) for e in parse_json(answer)}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{place}: returns no list of packages; is the site down?") from None
    if package not in numbers:
        raise UserError(
            f"{place}: this account has no access to {package}; ask for it at "
            f"{public_address(site)}"
        )
    return f"{site}/file-handling/?packageID={numbers[package]}"


def _package_id(value: Any) -> int:
    """Return a package's number, which the site writes as a string."""
    if not re.fullmatch("[0-9]{1,9}", str(value)):
        raise ValueError
    return int(value)


def _ask(
    session: OneStepSession, method: str, url: str, form: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Return a response's status and body, reading no more than a page can have."""
    place = public_address(url)
    try:
        with session.request(method, url, data=form, stream=True, timeout=TIMEOUT_S) as answer:
            answer.raise_for_status()
            content = answer.raw.read(_MOST_BYTES + 1, decode_content=True)
    except (RequestException, HTTPError, ValueError) as error:
        response = error.response if isinstance(error, RequestException) else None
        status = f" ({response.status_code})" if response is not None else ""
        raise UserError(
            f"{place}: the site does not answer as it should{status}; try again later"
        ) from None
    except OSError as error:
        raise not_asked(place, error) from None
    if len(content) > _MOST_BYTES:
        raise UserError(f"{place}: returns more than {_MOST_BYTES} bytes; try again later")
    return answer.status_code, content
