"""What the pipeline has to fetch for the paths it needs; for the Snakefile, without network.

Rules name a download's record as their input, never its folder: Snakemake deletes declared outputs
before it runs a job.
"""

from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch import cityscapes, records
from pointrend_repro.data.fetch.catalogue import DATA, Catalogue, Download
from pointrend_repro.data.fetch.jobs import given, is_in_place, missing_files


@dataclass(frozen=True)
class DownloadPlan:
    """The downloads that the pipeline uses, and which of them are already there.

    Attributes:
        catalogue: all downloads.
        data: the folder that holds all data sets and weights.
    """

    catalogue: Catalogue
    data: Path = DATA

    def record(self, path: str | Path | None) -> list[str]:
        """Return the record that must exist before `path` is used; none for users' own paths.

        None, either, for Cityscapes without an account, its archives or the data: the step that
        needs them reports that.
        """
        name = self.catalogue.provider(Path(path), self.data) if path else None
        if name is None or (self.catalogue.downloads[name].site and not self._can_have(name)):
            return []
        return [str(records.download_record(self.data, name))]

    def will_fetch(self, path: str | Path | None) -> bool:
        """Whether a run will fetch what is to be at `path`; once recorded, nothing is again."""
        return any(not Path(record).exists() for record in self.record(path))

    def found(self) -> list[str]:
        """Return the downloads that are in place without having been fetched: only counted.

        An existing record says which rule made it, and the download stays with that rule.
        """
        return [name for name in self.catalogue.downloads if self._is_found(name)]

    def fetched(self) -> list[str]:
        """Return all other downloads."""
        return [name for name in self.catalogue.downloads if not self._is_found(name)]

    def _is_found(self, name: str) -> bool:
        record = self._read(name)
        if record is not None:
            return record.get("origin") == records.FOUND
        return is_in_place(self.data, self.catalogue.downloads[name])

    def _read(self, name: str) -> dict[str, object] | None:
        try:
            return records.read_record(records.download_record(self.data, name))
        except UserError:
            return None

    def _can_have(self, name: str) -> bool:
        lacking = missing_files(self.data, self.catalogue.downloads[name])
        if self._read(name) is not None or all(given(self.data, f).exists() for f in lacking):
            return True
        try:
            return cityscapes.find_credentials() is not None
        except UserError:
            return True  # the user intends to; the rule that fetches reports what is wrong


def listing(catalogue: Catalogue, data: Path) -> list[str]:
    """Return a line for each download: its name, size, whether it is there, and its title."""
    rows = []
    for name, download in catalogue.downloads.items():
        exact = all(file.size_bytes for file in download.files)
        size = sum(file.most_bytes for file in download.files) / 1e6
        state = presence(data, download)
        group = f" [{download.group}]" if download.group else ""
        rows.append((name, f"{'' if exact else '< '}{size:.0f} MB", state, download.title + group))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}  {row[3]}"
        for row in rows
    ]


def presence(data: Path, download: Download) -> str:
    """Say whether all, some or none of a download's files are in their places."""
    missing = len(missing_files(data, download))
    if missing == len(download.files):
        return "not there"
    return f"{missing} of {len(download.files)} files missing" if missing else "there"
