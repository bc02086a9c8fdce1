"""One step behind a number, as the page tells of it."""

from dataclasses import dataclass

from pointrend_repro.reporting.results import Record


@dataclass(frozen=True)
class Run:
    """One step that ran, and whether today's code is the code that ran it.

    Attributes:
        others: digests of the code that is not today's, of this run or one that it continued.
        files: what it left behind, by what it is; paths are relative to `results/<preset>`.
        gone: of its results, those that are not there any more.
    """

    anchor: str
    name: str
    title: str
    record: Record
    others: tuple[str, ...]
    settings_id: str
    files: tuple[tuple[str, str], ...]
    gone: tuple[str, ...]

    @property
    def code_changed(self) -> bool:
        """Whether other code than today's had a part in it."""
        return bool(self.others)
