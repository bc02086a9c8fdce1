"""What was fetched, from where, when, and with which bytes: small JSON files in `data/.fetched/`.

`coco.json` is the record of a whole download, which rules and other records point to;
`coco/train2017.zip.json` is that of a file, whose sha256 pins the next download of it.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.data.fetch.catalogue import RemoteFile
from pointrend_repro.data.fetch.verify import Digests

FOLDER = ".fetched"
FETCHED, GIVEN, FOUND = "fetched", "given", "found"


def download_record(data: Path, name: str) -> Path:
    """Return the path of the record of a whole download."""
    return data / FOLDER / f"{name}.json"


def file_record(data: Path, name: str, file: RemoteFile) -> Path:
    """Return the path of the record of one file of a download."""
    return data / FOLDER / name / f"{file.name}.json"


def read_record(path: Path) -> dict[str, Any] | None:
    """Return a record, or None if it does not exist.

    Raises:
        UserError: it is not a record.
    """
    if not path.exists():
        return None
    record = read_json(path)
    if not isinstance(record, dict):
        raise UserError(f"{path}: is not the record of a download; remove it")
    return record


@dataclass(frozen=True)
class Source:
    """Where a file comes from.

    Attributes:
        kind: `fetched` over the network, `given` as an archive, or `found` in its place.
        place: the URL without secrets, or the path of the given or found file.
        reached: the addresses, also without secrets, that the URL redirected to for these bytes.
    """

    kind: str
    place: str
    reached: tuple[str, ...] = ()


def new_record(
    file: RemoteFile, source: Source, *, digests: Digests | None, counts: dict[str, int]
) -> dict[str, Any]:
    """Describe one file.

    Args:
        digests: none for folders that were found, whose archive is unknown.
    """
    return {
        "file": file.name,
        "origin": source.kind,
        "source": source.place,
        **({"reached": list(source.reached)} if source.reached else {}),
        "bytes": digests.size_bytes if digests else None,
        "sha256": digests.sha256 if digests else None,
        "md5": digests.md5 if digests else None,
        "published_hash": file.has_published_hash,
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "places": file.places,
        "counts": counts,
    }


def write_download_record(data: Path, name: str, title: str, files: list[dict[str, Any]]) -> None:
    """Write the record of a whole download; an equal one is left untouched.

    Otherwise Snakemake would rerun everything that depends on it.
    """
    path = download_record(data, name)
    fetched = any(entry["origin"] != FOUND for entry in files)
    record = {
        "download": name,
        "title": title,
        "origin": FETCHED if fetched else FOUND,
        "files": files,
    }
    if read_record(path) != record:
        write_json(path, record)
