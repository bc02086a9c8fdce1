"""One file to fetch: where it goes, how much of it is there, and what is recorded of it."""

from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch import records
from pointrend_repro.data.fetch.archives import left_by_kills
from pointrend_repro.data.fetch.catalogue import Download, RemoteFile
from pointrend_repro.data.fetch.parts import Part
from pointrend_repro.data.fetch.request import Patience
from pointrend_repro.data.fetch.space import Need, existing

_GIVEN_FOLDER = "downloads"


@dataclass(frozen=True)
class Job:
    """One file of one download, and where it goes."""

    data: Path
    name: str
    download: Download
    file: RemoteFile
    patience: Patience

    @property
    def into(self) -> Path:
        """The folder that holds its places."""
        return self.data / self.download.into

    @property
    def part(self) -> Path:
        """The partial download, in the folder of its places, since a rename cannot cross disks."""
        # Two downloads may take files from one archive at the same time, as COCO's annotations.
        mark = "" if self.name == self.download.into else f".{self.name}"
        return self.into / f".{self.file.name}{mark}.part"

    @property
    def given(self) -> Path:
        """Where users put a file that they got by other means; it stays there."""
        return given(self.data, self.file)

    @property
    def record(self) -> Path:
        """Its record, which also pins its hash."""
        return records.file_record(self.data, self.name, self.file)

    @property
    def is_in_place(self) -> bool:
        """Whether everything that it puts on disk is there, without counting."""
        return all((self.into / place).exists() for place in self.file.places)

    @property
    def left_by_kills(self) -> list[Path]:
        """What killed processes have unpacked of it, which nothing reads."""
        # Under its own name by earlier versions, from an archive that was given.
        names = [self.part.name, *([] if self.name != self.download.into else [self.file.name])]
        return [folder for name in names for folder in left_by_kills(self.into, name)]

    @property
    def advice(self) -> str:
        """What to do if it cannot be fetched."""
        return (
            f"get {self.file.name} by other means, put it at {self.given} and run "
            "the same command again"
        )


def given(data: Path, file: RemoteFile) -> Path:
    """Return where users put a file that they got by other means."""
    return data / _GIVEN_FOLDER / file.name


def is_in_place(data: Path, download: Download) -> bool:
    """Return whether all folders and files of a download are there; they are not counted."""
    return all(
        (data / download.into / place).exists() for file in download.files for place in file.places
    )


def missing_files(data: Path, download: Download) -> list[RemoteFile]:
    """Return the files of a download whose places are not all there."""
    into = data / download.into
    return [f for f in download.files if not all((into / place).exists() for place in f.places)]


def space_needed(job: Job) -> Need:
    """Return the disk space that fetching a file will take."""
    to_come = 0 if job.given.exists() else max(job.file.most_bytes - Part(job.part).size, 0)
    if job.file.unpack is None:
        return Need(job.into, stays_bytes=to_come)
    return Need(job.into, stays_bytes=job.file.unpack.max_bytes, passes_bytes=to_come)


def require_places(job: Job) -> None:
    """Refuse places that a file cannot be put into, before it is fetched.

    Raises:
        UserError: one is, or lies behind, a broken link, or the parts of an archive would have to
            go to another disk than it is unpacked on, which a rename cannot cross.
    """
    _require_no_broken_link(job.into)
    for place in job.file.unpack.places if job.file.unpack else ():
        target = job.into / place
        _require_no_broken_link(target)
        folder = existing(target.parent)
        if not target.exists() and folder.stat().st_dev != existing(job.into).stat().st_dev:
            raise UserError(
                f"{folder}: is on another disk than {job.into}, where {job.file.name} is unpacked; "
                f"make {job.into} itself a link, or unpack {place} there yourself"
            )


def _require_no_broken_link(folder: Path) -> None:
    for path in (folder, *folder.parents):
        if path.is_symlink() and not path.exists():
            raise UserError(
                f"{path}: is a link to {path.readlink()}, which is not there; make that folder or "
                "remove the link"
            )
