"""Faults and oddities of a data set: each described, and counted by kind."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One fault or oddity.

    Attributes:
        kind: what is wrong, in the plural: "images that are not on disk".
        text: one line that names the file or the entry.
        must_mend: whether the pipeline refuses it, or would be trained on wrong data.
    """

    kind: str
    text: str
    must_mend: bool


def fault(kind: str, text: str) -> Finding:
    """Return a finding that must be corrected before anything can be trained."""
    return Finding(kind, text, must_mend=True)


def oddity(kind: str, text: str) -> Finding:
    """Return a finding that does not prevent training, but should be checked."""
    return Finding(kind, text, must_mend=False)


def by_kind(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Group findings by their kind, in the order in which kinds first occur."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.kind, []).append(finding)
    return groups
