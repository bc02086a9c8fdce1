"""A server with a small data set in COCO's layout, and a catalogue that says where it is."""

import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from file_server import FileServer

from pointrend_repro.data.fetch.catalogue import Catalogue, load_catalogue
from pointrend_repro.data.fetch.fetch import fetch
from pointrend_repro.data.fetch.request import Patience

WEIGHTS = b"\x80\x04" + b"weights" * 50 + b"."


@dataclass
class Downloads:
    """What the tests fetch, from where, and to where."""

    server: FileServer
    folder: Path
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def config(self) -> Path:
        return self.folder / "config"

    def offer(self, name: str, content: bytes) -> str:
        """Let the server have a file, and return its URL."""
        self.server.files[f"/{name}"] = content
        return f"{self.server.url}/{name}"

    def add(self, name: str, into: str, *files: dict[str, Any], **more: str) -> None:
        download = {"title": name, "into": into, "terms": "none", "files": list(files)}
        self.values[name] = download | more
        self.config.mkdir(exist_ok=True)
        text = yaml.safe_dump({"downloads": self.values}, sort_keys=False)
        (self.config / "downloads.yaml").write_text(text)

    def catalogue(self) -> Catalogue:
        return load_catalogue(self.config)

    def fetch(self, *names: str) -> None:
        fetch(list(names), self.catalogue(), self.data, Patience(attempts=3, first_wait_s=0))


def published(url: str, content: bytes, **more: Any) -> dict[str, Any]:
    """An entry of the catalogue for a file whose size and hash are known."""
    sha256 = hashlib.sha256(content).hexdigest()
    known = {"urls": [url], "size_bytes": len(content), "sha256": sha256, "hash_source": "a test"}
    return known | more


def pinned(url: str, **more: Any) -> dict[str, Any]:
    """An entry for a file of which nothing is known."""
    unknown = {"max_bytes": 10**6, "sha256": "pin at first download", "hash_source": "none"}
    return {"urls": [url]} | unknown | more


def zipped(folder: Path, *parts: str) -> bytes:
    """An archive of some parts of a folder."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for part in parts:
            whole = folder / part
            for path in [whole, *sorted(whole.rglob("*"))]:
                archive.write(path, path.relative_to(folder))
    return stream.getvalue()


def add_coco(downloads: Downloads, root: Path, *, train: int, val: int) -> None:
    """Offer a folder in COCO's layout as the three archives that COCO comes in."""
    names = ("instances_train2017.json", "instances_val2017.json")
    places = [f"annotations/{name}" for name in names]
    images = {"train2017": train, "val2017": val}
    files = []
    for part, count in images.items():
        content = zipped(root, part)
        unpack = {"places": [part], "max_bytes": 10**7}
        url = downloads.offer(f"zips/{part}.zip", content)
        files.append(published(url, content, unpack=unpack, counts={f"{part}/*.jpg": count}))
    content = zipped(root, "annotations")
    files.append(
        published(
            downloads.offer("annotations/annotations.zip", content),
            content,
            unpack={"places": places, "max_bytes": 10**7},
            json_counts={places[1]: {"categories": 3, "images": val}},
        )
    )
    downloads.add("coco", "coco", *files)
