"""How numbers, times and sizes are written for people. Files for machines keep full precision."""

import re
from collections.abc import Iterable, Sequence

# How the configuration and the code write what papers print otherwise.
_SPELLINGS = (
    (re.compile(r"(?<=\d)x(?=\d|[ ,;:.)]|$)"), "\N{MULTIPLICATION SIGN}"),
    (re.compile(r"(?<=\d)\^2\b"), "\N{SUPERSCRIPT TWO}"),
    (re.compile(r"\bbeta(?==| )"), "\N{GREEK SMALL LETTER BETA}"),
)


def number(value: float) -> str:
    """Return `value` with one decimal, as most papers print it; whole numbers as they are.

    What would be 0.0 and is not zero gets one digit that counts, such as 0.008.
    """
    if isinstance(value, int):
        return str(value)
    return f"{value:.1g}" if 0 < abs(value) < 0.05 else f"{value:.1f}"


def printed(value: float) -> str:
    """Return a paper's number with the decimals that it prints, one at least: 35.2, 77.38.

    The configuration has no zero at their end, so that 77.30 is shown as 77.3.
    """
    return number(value) if round(value, 1) == value else f"{value:g}"


def between(values: Sequence[float]) -> str:
    """Return the smallest and the largest of some values, such as `35.1–35.3`; one if equal."""
    ends = [number(min(values)), number(max(values))]
    # Else 0.06 would be 0.1 beside 0.04.
    # Below 0.005, two would be 0.00.
    if max(values) >= 0.005 and (ends[0] == ends[1] or 0.005 <= min(values) < 0.05):
        ends = [f"{min(values):.2f}", f"{max(values):.2f}"]
    return "\N{EN DASH}".join(dict.fromkeys(ends))


def spelled(text: str) -> str:
    """Return a title or a sentence with the signs that print uses: 28×28, 28², β, 4× conv."""
    for written, printed in _SPELLINGS:
        text = written.sub(printed, text)
    return text


def signed(value: float) -> str:
    """Return a difference with its sign and two decimals.

    One decimal could show a deviating +0.24 as the +0.2 that is allowed.
    """
    text = f"{value:+.2f}"
    return "0.00" if text in {"+0.00", "-0.00"} else text.replace("-", "\N{MINUS SIGN}")


def device(text: str) -> str:
    """Return a record's device; those that one thread ran on say `1 threads`."""
    return re.sub(r"\b1 threads\b", "1 thread", text)


def duration(seconds: float) -> str:
    """Return a time in its two largest units, such as `5 h 02 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def memory(megabytes: float) -> str:
    """Return a size in MB or GB of 1e6 or 1e9 bytes."""
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


def count(n: int, noun: str) -> str:
    """Return `1 trial` or `3 trials`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def listed(texts: Iterable[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def commit(digits: str | None) -> str:
    """Return a commit's first twelve digits, and say so if the tree held changes."""
    if digits is None:
        return "outside git"
    short, _, changes = digits.partition("+")
    return short[:12] + (f" + {changes}" if changes else "")


def decimals(value: float) -> str:
    """Return a trial's value with two decimals: the trials of one cell are close to each other."""
    return f"{value:.2f}"
