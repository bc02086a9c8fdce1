"""Fetches downloads of the catalogue: only missing ones, checked before they are put in place."""

import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UnwrittenError, UserError
from pointrend_repro.base.files import sync_file, write_errors, write_json
from pointrend_repro.data.fetch import records
from pointrend_repro.data.fetch.addresses import public_address
from pointrend_repro.data.fetch.archives import UnsafeArchiveError, unpack
from pointrend_repro.data.fetch.asking import OneStepSession
from pointrend_repro.data.fetch.catalogue import Catalogue
from pointrend_repro.data.fetch.counts import count
from pointrend_repro.data.fetch.jobs import Job, require_places, space_needed
from pointrend_repro.data.fetch.parts import Part
from pointrend_repro.data.fetch.progress import shown
from pointrend_repro.data.fetch.records import Source
from pointrend_repro.data.fetch.request import FileRequest, Patience
from pointrend_repro.data.fetch.sources import Sessions, require_credentials
from pointrend_repro.data.fetch.space import require_space
from pointrend_repro.data.fetch.transfer import download
from pointrend_repro.data.fetch.verify import Digests, digests_of, wrong_bytes

_log = logging.getLogger(__name__)
_PATIENT = Patience()


class _WrongBytesError(Exception):
    """The fetched bytes are not the published ones, or not those of the first download."""


def fetch(
    names: list[str], catalogue: Catalogue, data: Path, patience: Patience = _PATIENT
) -> None:
    """Fetch downloads that are not there yet; a second call finds nothing to do.

    Args:
        names: of downloads or groups.
        data: the folder that holds all data sets and weights.
        patience: with each file's server.

    Raises:
        UserError: a disk is too small, a server refuses, bytes or counts are wrong, or an archive
            is unsafe. Finished files are kept, and the next call continues.
    """
    jobs = {
        name: [Job(data, name, catalogue.downloads[name], file, patience) for file in files]
        for name in catalogue.expand(names)
        for files in [catalogue.downloads[name].files]
    }
    missing = [job for group in jobs.values() for job in group if not job.is_in_place]
    for job in missing:
        require_places(job)
        if job.file.package and not job.given.exists():
            require_credentials(job)
    _make_room(data, missing)
    require_space(space_needed(job) for job in missing)
    for name, group in jobs.items():
        with _only_one(data, name):
            sessions = Sessions()
            entries = [_obtain(job, sessions) for job in group]
            records.write_download_record(data, name, catalogue.downloads[name].title, entries)


def _make_room(data: Path, jobs: list[Job]) -> None:
    """Remove what was being unpacked when a process was killed: it may take most of the disk."""
    for job in jobs:
        if job.left_by_kills:
            with _only_one(data, job.name):
                for folder in job.left_by_kills:
                    shutil.rmtree(folder, ignore_errors=True)


def _obtain(job: Job, sessions: Sessions) -> dict[str, Any]:
    """Put one file in its place, and return its record."""
    if job.is_in_place:
        return _taken(job)
    if job.given.exists():
        return _put_in_place(job, job.given, Source(records.GIVEN, str(job.given)))
    session, urls = sessions.sources(job)
    for number, url in enumerate(urls, start=1):
        try:
            return _fetched(job, session, url)
        except (UnsafeArchiveError, UnwrittenError):
            raise  # another server would not help
        except UserError as error:
            if number == len(urls):
                raise
            _log.warning("%s; trying %s", error, public_address(urls[number]))
    raise AssertionError("a file has a URL")


def _taken(job: Job) -> dict[str, Any]:
    """The record of the files in place: from their download, or a new one of what was found."""
    record = records.read_record(job.record)
    if record is not None and not _has_changed(job, record):
        return record
    counts = _required_counts(job)
    Part(job.part).discard()  # left by a run killed after it had put everything in place
    path = job.into / job.file.places[0]
    digests = None
    if job.file.unpack is None:
        with shown(f"checking {job.file.name}") as report:
            digests = digests_of(path, report)
        if problem := _problem(job, path, digests):
            raise UserError(f"{path}: {problem}; move it away and run the same command again")
    source = Source(records.FOUND, str(path))
    found = records.new_record(job.file, source, digests=digests, counts=counts)
    if job.file.unpack is None:
        write_json(job.record, found)
    return found


def _has_changed(job: Job, record: dict[str, Any]) -> bool:
    """Whether a file's size differs from its record; folders are judged by their counts."""
    if job.file.unpack is None:
        path = job.into / job.file.name
        return bool(path.stat().st_size != record.get("bytes"))
    _required_counts(job)
    return False


def _required_counts(job: Job) -> dict[str, int]:
    found, problem = count(job.into, job.file)
    if problem:
        raise UserError(
            f"{problem}; complete the folder, or move it away and run the same command again to "
            "fetch it"
        )
    return found


def _fetched(job: Job, session: OneStepSession, url: str) -> dict[str, Any]:
    request = FileRequest(
        url=url,
        size_bytes=job.file.size_bytes,
        max_bytes=job.file.most_bytes,
        has_published_hash=job.file.has_published_hash,
        advice=job.advice,
        needs_login=job.file.package is not None,
    )
    place = public_address(url)
    for is_last in (False, True):
        with shown(job.file.name) as report:
            arrived = download(session, request, job.part, report=report, patience=job.patience)
        try:
            source = Source(records.FETCHED, place, tuple(arrived.reached))
            return _put_in_place(job, job.part, source)
        except _WrongBytesError as problem:
            Part(job.part).discard()
            if arrived.in_one_piece or is_last:
                raise UserError(f"{place}: {problem}; {job.advice}") from None
            _log.warning("%s: %s; the pieces do not belong together: starting over", place, problem)
        except UnsafeArchiveError:
            Part(job.part).discard()
            raise
    raise AssertionError("the last try returns or raises")


def _put_in_place(job: Job, path: Path, source: Source) -> dict[str, Any]:
    """Check a complete file, unpack or move it, count, and record it."""
    with shown(f"checking {job.file.name}") as report:
        digests = digests_of(path, report)
    if problem := _problem(job, path, digests):
        if source.kind == records.FETCHED:
            raise _WrongBytesError(problem)
        raise UserError(f"{path}: {problem}; remove it and run the same command again")
    if job.file.unpack is not None:
        places, max_bytes = job.file.unpack.places, job.file.unpack.max_bytes
        with shown(f"unpacking {job.file.name}") as report:
            unpack(
                path,
                job.into,
                places,
                name=job.part.name,
                max_bytes=max_bytes,
                report=report,
                check=lambda folder: count(folder, job.file)[1],
            )
    elif source.kind == records.GIVEN:
        _link(path, job.into / job.file.name)
    else:
        with write_errors(job.into):
            sync_file(path)
            path.rename(job.into / job.file.name)
    record = _recorded(job, digests, source)
    if source.kind == records.FETCHED:
        Part(job.part).discard()
    return record


def _recorded(job: Job, digests: Digests, source: Source) -> dict[str, Any]:
    counts = _required_counts(job)
    first = records.read_record(job.record)
    if first is not None and first.get("sha256") == digests.sha256:
        return first  # the same bytes again: steps that depend on the record need not rerun
    record = records.new_record(job.file, source, digests=digests, counts=counts)
    write_json(job.record, record)
    return record


def _link(source: Path, target: Path) -> None:
    with write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() and not target.exists():  # to where the file was before
            target.unlink()
        target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))


def _problem(job: Job, path: Path, found: Digests) -> str | None:
    """Return why these bytes differ from the catalogue's or the first download's, or None."""
    if problem := wrong_bytes(path, job.file, found):
        return problem
    first = records.read_record(job.record)
    pinned = first.get("sha256") if first else None
    if pinned is None or pinned == found.sha256:
        return None
    return (
        f"has sha256 {found.sha256}, but the first time it had {pinned} ({job.record}): the file "
        "has changed; to accept the new one, remove that record"
    )


@contextlib.contextmanager
def _only_one(data: Path, name: str) -> Iterator[None]:
    """Keep a second process from writing the same files; the lock ends with this process."""
    path = data / records.FOLDER / f"{name}.lock"
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{path}: another process is fetching {name}; wait until it has finished"
            ) from None
        except OSError:
            _log.warning("%s: this disk has no locks; fetch %s only once at a time", path, name)
        yield
    finally:
        os.close(number)
