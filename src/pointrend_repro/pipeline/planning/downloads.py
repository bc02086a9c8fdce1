"""What a preset would download, and what of it is there (`config/downloads.yaml`)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.data.fetch.catalogue import DATA, Catalogue, RemoteFile
from pointrend_repro.data.fetch.planning import DownloadPlan
from pointrend_repro.declarations.family import family_of
from pointrend_repro.experiments.grid import Grid


@dataclass(frozen=True)
class DownloadedFile:
    """One file to fetch.

    Attributes:
        download: the name that `pointrend-repro data fetch` knows it by.
        bytes: None where no size is published.
        at_most_bytes: what is refused beyond, or the size itself.
        here: whether what it unpacks to is in its place.
    """

    download: str
    file: str
    bytes: int | None
    at_most_bytes: int
    here: bool


def wanted_paths(grid: Grid, *, own_roots: Iterable[str] = ()) -> list[str]:
    """Return the folders and files that a preset's data sets and trunks are read from.

    Args:
        grid: the preset.
        own_roots: folders of data sets of which the user has named their own.
    """
    taken = set(own_roots)
    roots = [d for d in grid.datasets.values() if d.root and not d.generate and d.root not in taken]
    files = [f"{d.root}/{file}" for d in roots for file in d.unusual_annotations]
    pairs = sorted({(t.dataset, t.variant) for t in grid.trainings})
    models = (grid.training_settings(*pair).model for pair in pairs)
    weights = (family_of(model).weights(model) for model in models)
    paths = [*(d.root for d in roots if d.root), *files, *(w for w in weights if w)]
    return list(dict.fromkeys(paths))


def list_downloads(catalogue: Catalogue, paths: Iterable[str]) -> list[DownloadedFile]:
    """Return the files that put something at one of `paths`."""
    names = (catalogue.provider(Path(path), DATA) for path in paths)
    found = []
    for name in dict.fromkeys(n for n in names if n):
        download = catalogue.downloads[name]
        found += [_downloaded(name, DATA / download.into, file) for file in download.files]
    return found


def fetch_records(catalogue: Catalogue, paths: Iterable[str]) -> list[Path]:
    """Return the records that the pipeline's rules for downloads make, as the Snakefile does."""
    plan = DownloadPlan(catalogue)
    return [Path(r) for r in dict.fromkeys(r for path in paths for r in plan.record(path))]


def _downloaded(name: str, into: Path, file: RemoteFile) -> DownloadedFile:
    here = all((into / place).exists() for place in file.places)
    return DownloadedFile(name, file.name, file.size_bytes, file.most_bytes, here)
