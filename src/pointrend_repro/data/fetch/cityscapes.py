"""Cityscapes' packages, which need an account: the protocol of cityscapesscripts' `csDownload`.

Only the protocol: the library's own login asks at the terminal, where a batch job would hang, and
deletes the user's credentials when they are refused. Source: cityscapesscripts 2.3.0,
`cityscapesscripts/download/downloader.py`.

The credentials are sent to the site and nowhere else: no file, log or message of ours has them.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import appdirs
import requests
from requests.exceptions import RequestException

from pointrend_repro.errors import UserError

USERNAME_VARIABLE = "CITYSCAPES_USERNAME"
PASSWORD_VARIABLE = "CITYSCAPES_PASSWORD"
_TIMEOUT_S = (20, 60)
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Credentials:
    """Of an account at the site; never shown."""

    username: str = field(repr=False)
    password: str = field(repr=False)


def credentials_file() -> Path:
    """Return where `csDownload` keeps the credentials, if its user has let it."""
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
        content = json.loads(path.read_bytes())
        return Credentials(str(content["username"]), str(content["password"]))
    except (OSError, ValueError, KeyError, TypeError):
        # Not what is wrong with it: that might quote what it holds.
        raise UserError(
            f'{path}: is not readable JSON with "username" and "password"; correct or remove it'
        ) from None


def login(site: str, credentials: Credentials) -> requests.Session:
    """Open a session at the site.

    Raises:
        UserError: the site does not answer, refuses the credentials, or is not encrypted.
    """
    parts = urlsplit(site)
    if parts.scheme != "https" and parts.hostname not in _LOCAL_HOSTS:
        raise UserError(f"{site}: is not https, so no password is sent there; correct `site`")
    session = requests.Session()
    session.trust_env = False  # a .netrc of the user's must not answer for them
    session.proxies = requests.utils.get_environ_proxies(site)
    form = {"username": credentials.username, "password": credentials.password, "submit": "Login"}
    _ask(session, "GET", f"{site}/login")
    answer = _ask(session, "POST", f"{site}/login", form)
    if answer.status_code != 302:  # a successful login leads on to the downloads
        raise UserError(
            f"{site}/login: the site refuses the username or password; correct "
            f"{USERNAME_VARIABLE} and {PASSWORD_VARIABLE}, or {credentials_file()}"
        )
    return session


def package_url(site: str, session: requests.Session, package: str) -> str:
    """Return from where a session fetches a package.

    Raises:
        UserError: the account may not have it, or the site answers something else.
    """
    url = f"{site}/downloads/?list"
    answer = _ask(session, "GET", url)
    try:
        numbers = {str(entry["name"]): int(entry["packageID"]) for entry in answer.json()}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{url}: answers no list of packages; is the site down?") from None
    if package not in numbers:
        raise UserError(f"{url}: this account has no access to {package}; ask for it at {site}")
    return f"{site}/file-handling/?packageID={numbers[package]}"


def _ask(
    session: requests.Session, method: str, url: str, form: dict[str, str] | None = None
) -> requests.Response:
    try:
        answer = session.request(method, url, data=form, allow_redirects=False, timeout=_TIMEOUT_S)
        answer.raise_for_status()
    except RequestException as error:
        told = f" ({error.response.status_code})" if error.response is not None else ""
        raise UserError(
            f"{url}: the site does not answer as it should{told}; try again later"
        ) from None
    return answer
