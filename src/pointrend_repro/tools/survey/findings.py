"""What is wrong, or odd, in a data set: each named, and counted by kind."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One fault or oddity.

    Attributes:
        kind: what it is, in the plural: "images that are not on disk".
        text: one line that names the file or the entry.
        must_mend: whether the pipeline refuses it, or would learn nonsense from it.
    """

    kind: str
    text: str
    must_mend: bool


def fault(kind: str, text: str) -> Finding:
    """Return what must be mended before anything can be trained."""
    return Finding(kind, text, must_mend=True)


def oddity(kind: str, text: str) -> Finding:
    """Return what can be trained on, but is worth a look."""
    return Finding(kind, text, must_mend=False)


def by_kind(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Group findings by their kind, in the order in which kinds first occur."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.kind, []).append(finding)
    return groups
