"""`config/downloads.yaml`: what can be fetched, from where, and how to recognise the right file."""

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, model_validator

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.base.names import Name, is_file_name
from pointrend_repro.base.texts import Text
from pointrend_repro.config.folder import CONFIG_DIR, require_config
from pointrend_repro.config.yaml_files import one_line, read_yaml
from pointrend_repro.settings.values import PositiveInt, Strict

PIN = "pin at first download"
DATA = Path("data")


def _below(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ValueError("must be a relative path without '..'")
    return path


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must begin with http:// or https://")
    return url


def _end(url: str) -> str:
    return PurePosixPath(urlsplit(url).path).name


RelativePath = Annotated[str, AfterValidator(_below)]
Url = Annotated[str, AfterValidator(_web_address)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Unpack(Strict):
    """Which parts of a ZIP archive are needed; the others are not unpacked."""

    places: list[RelativePath] = Field(
        min_length=1, description="folders or files of the archive, put below the download's `into`"
    )
    max_bytes: PositiveInt = Field(description="the most that is unpacked")


class RemoteFile(Strict):
    """One file on a server: an archive to unpack, or a file that stays as it is."""

    urls: list[Url] = Field([], description="the first that works is taken")
    file_name: str | None = Field(
        None, description="what it is called here, if that is not the end of the first address"
    )
    package: str | None = Field(None, description="Cityscapes' name for it, in place of `urls`")
    size_bytes: PositiveInt | None = Field(None, description="where its size is published")
    max_bytes: PositiveInt | None = Field(None, description="the most it may have otherwise")
    sha256: Sha256 | Literal["pin at first download"]
    sha256_prefix: str | None = Field(None, pattern=r"^[0-9a-f]{6,63}$")
    md5: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    md5_prefix: str | None = Field(None, pattern=r"^[0-9a-f]{6,31}$")
    hash_source: Text
    unpack: Unpack | None = None
    counts: dict[RelativePath, PositiveInt] = Field(
        {}, description="how many files match a pattern below `into`"
    )
    json_counts: dict[RelativePath, dict[str, PositiveInt]] = Field(
        {}, description="how many entries the lists of a JSON file below `into` have"
    )

    @model_validator(mode="after")
    def _has_one_source_and_a_size(self) -> "RemoteFile":
        if bool(self.urls) == bool(self.package):
            raise ValueError("give either urls or package")
        if (self.size_bytes is None) == (self.max_bytes is None):
            raise ValueError("give either size_bytes or max_bytes")
        if self.file_name is None and len(ends := {_end(url) for url in self.urls}) > 1:
            raise ValueError(
                f"the addresses end in different names, {', '.join(sorted(ends))}; say the file's "
                "as `file_name`"
            )
        if not is_file_name(self.name):
            raise ValueError(f"{self.name!r}: a file's name has letters, digits, _, . and - only")
        return self

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.package or self.file_name or _end(self.urls[0])

    @property
    def most_bytes(self) -> int:
        """Its size or, where that is not published, the most that it may have."""
        return self.size_bytes or self.max_bytes or 0

    @property
    def has_published_hash(self) -> bool:
        """Whether wrong bytes would be noticed even at the first download."""
        return self.sha256 != PIN or bool(self.sha256_prefix or self.md5 or self.md5_prefix)

    @property
    def places(self) -> list[str]:
        """What it leaves on disk, below `into`."""
        return list(self.unpack.places) if self.unpack else [self.name]


class Download(Strict):
    """What one name on the command line fetches."""

    title: Text
    group: Name | None = Field(None, description="a name that fetches all of its members")
    into: RelativePath = Field(description="folder below data/")
    model: Name | None = Field(
        None, description="the known model whose published weights these are"
    )
    site: Url | None = Field(None, description="for Cityscapes' packages, which need an account")
    terms: Text = Field(description="the licence, or where to read it")
    files: list[RemoteFile] = Field(min_length=1)

    @model_validator(mode="after")
    def _packages_have_a_site(self) -> "Download":
        if any((file.package is None) == (self.site is not None) for file in self.files):
            raise ValueError("files of a download with `site` have a `package`, others have `urls`")
        return self


class Catalogue(Strict):
    """All downloads by name."""

    downloads: dict[Name, Download]

    def expand(self, names: list[str]) -> list[str]:
        """Resolve names of downloads and groups to names of downloads, each once.

        Raises:
            UserError: there is no such download or group.
        """
        found: dict[str, None] = {}
        for name in names:
            members = [
                key for key, download in self.downloads.items() if name in (key, download.group)
            ]
            if not members:
                groups = {d.group for d in self.downloads.values() if d.group}
                hint = suggest(name, sorted({*self.downloads, *groups}))
                raise UserError(f"there is no download {name!r}{hint}; see `data fetch --list`")
            found.update(dict.fromkeys(members))
        return list(found)

    def provider(self, path: Path, data: Path) -> str | None:
        """Return the name of the download that puts a file or folder at `path`, or None."""
        for name, download in self.downloads.items():
            into = data / download.into
            if path in [into / place for file in download.files for place in file.places]:
                return name
        return next((n for n, d in self.downloads.items() if path == data / d.into), None)


def load_catalogue(config_dir: Path = CONFIG_DIR) -> Catalogue:
    """Read `config/downloads.yaml`.

    Raises:
        UserError: it is missing, not YAML, or has an unknown key or a wrong value.
    """
    require_config(config_dir)
    path = config_dir / "downloads.yaml"
    try:
        return Catalogue.model_validate(read_yaml(path))
    except ValidationError as error:
        raise UserError(f"{path}: {one_line(error, Catalogue)}") from None


def how_to_fetch(path: Path, config_dir: Path = CONFIG_DIR) -> str:
    """Return the end of a message about what is not at `path`: the command that fetches it."""
    try:
        name = load_catalogue(config_dir).provider(path, DATA)
    except UserError:  # outside a clone
        return ""
    return f"; `pointrend-repro data fetch {name}` fetches it" if name else ""
