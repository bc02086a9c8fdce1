"""Cityscapes' packages, from a server that imitates the site's login."""

import json
import logging
import shutil
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from cityscapesscripts.download import downloader
from file_server import FileServer, Handler, cut_after, good, running_server, saying
from small_downloads import Downloads, published, zipped

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch import asking, cityscapes
from pointrend_repro.data.fetch.asking import OneStepSession
from pointrend_repro.data.fetch.planning import DownloadPlan
from pointrend_repro.data.fetch.request import FileRequest

USER, PASSWORD = "somebody@example.org", "correct horse"


@pytest.fixture(autouse=True)
def nobody_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    for name in (cityscapes.USERNAME_VARIABLE, cityscapes.PASSWORD_VARIABLE):
        monkeypatch.delenv(name, raising=False)

    def hang(*_: object) -> str:
        raise AssertionError("a batch job would hang here")

    monkeypatch.setattr("builtins.input", hang)
    monkeypatch.setattr("getpass.getpass", hang)


@pytest.fixture
def downloads(tmp_path: Path) -> Iterator[Downloads]:
    """A catalogue with a small gtFine, and the site that has it."""
    picture = tmp_path / "gtFine/train/aachen/aachen_0_0_gtFine_labelIds.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"a label image")
    content = zipped(tmp_path, "gtFine")
    with running_server() as server:
        _imitate_site(server, content)
        downloads = Downloads(server, tmp_path)
        entry = published("unused", content, package="gtFine.zip")
        del entry["urls"]
        entry["unpack"] = {"places": ["gtFine"], "max_bytes": 1000}
        entry["counts"] = {"gtFine/train/*/*_gtFine_labelIds.png": 1}
        downloads.add("cityscapes", "cityscapes", entry, site=server.url)
        yield downloads


def _imitate_site(server: FileServer, content: bytes) -> None:
    def log_in(handler: Handler, body: bytes) -> None:
        form = dict(urllib.parse.parse_qsl(body.decode()))
        right = {"username": USER, "password": PASSWORD, "submit": "Login"}
        if form == right and handler.headers.get("Cookie") == "visit=1":
            handler.send(302, Location="/downloads/", Set_Cookie="session=7")
        else:
            handler.send(200, b"Wrong username or password")

    def only_inside(handler: Handler, inside: bytes) -> None:
        if "session=7" not in handler.headers.get("Cookie", ""):
            handler.send(302, Location="/login")
        elif handler.path.startswith("/file-handling/"):
            (server.script.pop(0) if server.script else good)(handler, inside)
        else:
            handler.send(200, inside)

    packages = [{"name": "gtFine.zip", "packageID": "1", "size": "241MB", "thirdparty": "0"}]
    listed = json.dumps(packages).encode()
    server.pages |= {
        ("GET", "/login"): lambda handler, _: handler.send(200, b"form", Set_Cookie="visit=1"),
        ("POST", "/login"): log_in,
        ("GET", "/downloads/?list"): lambda handler, _: only_inside(handler, listed),
        ("GET", "/file-handling/?packageID=1"): lambda handler, _: only_inside(handler, content),
    }


def set_variables(monkeypatch: pytest.MonkeyPatch, password: str = PASSWORD) -> None:
    monkeypatch.setenv(cityscapes.USERNAME_VARIABLE, USER)
    monkeypatch.setenv(cityscapes.PASSWORD_VARIABLE, password)


def write_credentials(content: str) -> Path:
    path = cityscapes.credentials_file()
    path.parent.mkdir(parents=True)
    path.write_text(content)
    return path


def test_with_the_environments_credentials(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch)
    downloads.server.script = [cut_after(100)]
    downloads.fetch("cityscapes")
    placed = downloads.data / "cityscapes/gtFine/train/aachen/aachen_0_0_gtFine_labelIds.png"
    assert placed.read_bytes() == b"a label image"
    assert downloads.server.asked[-1].headers["range"] == "bytes=100-"


def test_with_the_librarys_credentials_file(downloads: Downloads) -> None:
    write_credentials(json.dumps({"username": USER, "password": PASSWORD}))
    downloads.fetch("cityscapes")
    assert (downloads.data / "cityscapes/gtFine").is_dir()


def test_the_file_is_where_the_library_has_it() -> None:
    """`csDownload` reads and writes it itself, so its own code says where."""
    library = Path(downloader.appdirs.user_data_dir("cityscapesscripts", "cityscapes"))
    assert cityscapes.credentials_file() == library / "credentials.json"
    assert "appname = __name__.split('.')[0]" in Path(downloader.__file__).read_text()


def test_secrets_are_written_nowhere(
    downloads: Downloads,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    set_variables(monkeypatch)
    downloads.server.script = [saying(500), cut_after(100)]
    with caplog.at_level(logging.DEBUG):
        downloads.fetch("cityscapes")
        set_variables(monkeypatch, "incorrect horse")
        (downloads.data / "cityscapes/gtFine").rename(downloads.folder / "moved")
        with pytest.raises(UserError) as caught:
            downloads.fetch("cityscapes")
    files = [p for p in downloads.folder.rglob("*") if p.is_file()]
    told = [str(caught.value), caplog.text, *capfd.readouterr(), *map(str, files)]
    told += [p.read_bytes().decode("latin-1") for p in files]
    for secret in (USER, PASSWORD, "incorrect", "somebody", urllib.parse.quote_plus(PASSWORD)):
        assert not any(secret in text for text in told)
    shown = repr(cityscapes.Credentials(USER, PASSWORD))
    assert USER not in shown
    assert PASSWORD not in shown


def test_wrong_credentials_are_told_and_kept(downloads: Downloads) -> None:
    path = write_credentials(json.dumps({"username": USER, "password": "wrong"}))
    with pytest.raises(UserError, match="refuses the username or password; correct"):
        downloads.fetch("cityscapes")
    assert path.exists()
    assert "wrong" in path.read_text()


def test_without_credentials_one_line_tells_how(downloads: Downloads) -> None:
    with pytest.raises(UserError) as caught:
        downloads.fetch("cityscapes")
    told = str(caught.value)
    assert "\n" not in told
    assert "set CITYSCAPES_USERNAME and CITYSCAPES_PASSWORD" in told
    given = downloads.data / "downloads/gtFine.zip"
    assert f"get gtFine.zip by other means, put it at {given}" in told
    assert downloads.server.asked == []


def test_what_was_fetched_by_hand_needs_no_account(downloads: Downloads) -> None:
    given = downloads.data / "downloads/gtFine.zip"
    given.parent.mkdir(parents=True)
    given.write_bytes(zipped(downloads.folder, "gtFine"))
    downloads.fetch("cityscapes")
    assert downloads.server.asked == []
    assert (downloads.data / "cityscapes/gtFine").is_dir()


@pytest.mark.parametrize("content", ["", "[]", '{"username": "a"}', '{"password": "secret"'])
def test_a_broken_credentials_file(downloads: Downloads, content: str) -> None:
    path = write_credentials(content)
    with pytest.raises(UserError) as caught:
        downloads.fetch("cityscapes")
    assert str(path) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_one_variable_alone(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cityscapes.USERNAME_VARIABLE, USER)
    with pytest.raises(UserError, match="set both environment variables"):
        downloads.fetch("cityscapes")


def test_a_package_without_access(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch)
    page = ("GET", "/downloads/?list")
    downloads.server.pages[page] = lambda handler, _: handler.send(200, b"[]")
    with pytest.raises(UserError, match=r"this account has no access to gtFine.zip"):
        downloads.fetch("cityscapes")
    downloads.server.pages[page] = lambda handler, _: handler.send(200, b"<html>")
    with pytest.raises(UserError, match="returns no list of packages"):
        downloads.fetch("cityscapes")
    downloads.server.pages[page] = saying(500)
    with pytest.raises(UserError, match=r"does not answer as it should \(500\); try again later"):
        downloads.fetch("cityscapes")


def test_a_login_that_runs_out(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch)
    downloads.server.script = [cut_after(100), saying(302, Location="/login")]
    with pytest.raises(UserError, match="the login has run out; run the same command again"):
        downloads.fetch("cityscapes")
    downloads.fetch("cityscapes")
    assert downloads.server.asked[-1].headers["range"] == "bytes=100-"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_users_own_are_used(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's proxy has its own authority, which the login must accept as downloads do."""
    asked: list[object] = []

    def send(session: object, request: object, **options: object) -> None:
        asked.append(options["verify"])
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "send", send)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    credentials = cityscapes.Credentials(USER, PASSWORD)
    for value in (str(tmp_path / "ca.pem"), ""):
        monkeypatch.setenv(variable, value)
        with pytest.raises(UserError, match="does not answer as it should"):
            cityscapes.login("https://www.cityscapes-dataset.com", credentials)
        with OneStepSession() as session, pytest.raises(requests.ConnectionError):
            session.get("https://dl.fbaipublicfiles.com/R-50.pkl")
    assert asked == [str(tmp_path / "ca.pem")] * 2 + [True] * 2


def test_certificates_that_are_not_there_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "gone.pem"))
    told = r"not asked \(.*gone\.pem\); is REQUESTS_CA_BUNDLE right\?"
    site = "https://www.cityscapes-dataset.com"
    with pytest.raises(UserError, match=told):
        cityscapes.login(site, cityscapes.Credentials(USER, PASSWORD))
    wanted = FileRequest(f"{site}/a.zip", None, 10, True, "get it by other means")
    with (
        OneStepSession() as session,
        pytest.raises(UserError, match=told),
        asking.asked(session, wanted, {}),
    ):
        pass


def test_no_password_goes_over_an_open_line() -> None:
    with pytest.raises(UserError, match="is not https, so no password is sent there"):
        cityscapes.login("http://www.example.org", cityscapes.Credentials(USER, PASSWORD))


def test_the_pipeline_plans_it_only_where_it_can_be_had(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = DownloadPlan(downloads.catalogue(), downloads.data)
    root = downloads.data / "cityscapes"
    record = str(downloads.data / ".fetched/cityscapes.json")
    assert plan.record(root) == []
    set_variables(monkeypatch)
    assert plan.record(root) == [record]
    assert plan.fetched() == ["cityscapes"]
    monkeypatch.delenv(cityscapes.USERNAME_VARIABLE)
    assert plan.record(root) == [record]
    monkeypatch.delenv(cityscapes.PASSWORD_VARIABLE)
    assert plan.record(root) == []
    given = downloads.data / "downloads"
    given.mkdir(parents=True)
    for file in plan.catalogue.downloads["cityscapes"].files:
        assert plan.record(root) == []
        (given / file.name).touch()
    assert plan.record(root) == [record]
    shutil.rmtree(given)
    (root / "gtFine").mkdir(parents=True)
    assert plan.record(root) == [record]
    assert plan.found() == ["cityscapes"]
