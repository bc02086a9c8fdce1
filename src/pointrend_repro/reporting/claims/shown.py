"""Judged claims as the page shows them: verdicts in words, and a small plot of each interval."""

from collections.abc import Sequence
from dataclasses import dataclass

from pointrend_repro.reporting.claims import Method
from pointrend_repro.reporting.claims.files import JudgedClaim, JudgedPart, Verdict
from pointrend_repro.reporting.claims.intervals import Interval
from pointrend_repro.reporting.claims.needed_trials import MOST_TRIALS, Needed
from pointrend_repro.reporting.formats import count, signed

# A sign beside each word: a verdict must not be told by its colour alone.
VERDICT_WORDS: dict[Verdict, tuple[str, str]] = {
    "holds": ("✓", "holds"),
    "not-significant": ("≈", "not significant"),
    "does-not-hold": ("✗", "does not hold"),
    "not-measured": ("–", "not measured"),
    "no-verdict": ("○", "no verdict"),
}

METHOD_WORDS: dict[Method, str] = {
    "symmetric": "image intervals: symmetric around the measured difference",
    "percentile": "image intervals: percentiles, from an older version; judge the claims again",
}

WIDTH_PX, HEIGHT_PX = 176, 22
_MARGIN_PX = 8


@dataclass(frozen=True)
class Plot:
    """Where things are in the plot of one difference, in pixels from the left; and all in words."""

    zero: float
    measured: float
    paper: float | None
    interval: tuple[float, float]
    images: tuple[float, float] | None
    text: str


@dataclass(frozen=True)
class ShownPart:
    """One difference, and its plot if it has an interval; `lines` say how sure its verdict is."""

    part: JudgedPart
    sign: str
    word: str
    plot: Plot | None
    lines: tuple[str, ...]


@dataclass(frozen=True)
class ShownClaim:
    """One claim; `sign` and `word` are of its verdict, of which `lines` say how sure it is.

    `method` tells of its intervals, and `trials` how many trainings are behind its numbers.
    """

    claim: JudgedClaim
    sign: str
    word: str
    method: str
    trials: str
    lines: tuple[str, ...]
    parts: tuple[ShownPart, ...]


@dataclass(frozen=True)
class ShownClaims:
    """All claims, and how many have each verdict: (verdict, sign, word, number).

    `resamples` says how many each interval has, and `common` what a reader must know of all
    intervals, which need not be said of each; empty if nothing.
    """

    claims: tuple[ShownClaim, ...]
    counts: tuple[tuple[Verdict, str, str, int], ...]
    resamples: str
    common: str

    def with_verdict(self, *verdicts: Verdict) -> list[ShownClaim]:
        """Return the claims that have one of these verdicts."""
        return [shown for shown in self.claims if shown.claim.verdict in verdicts]


def show_claims(claims: Sequence[JudgedClaim]) -> ShownClaims | None:
    """Return what the page shows of claims; None if none were judged."""
    if not claims:
        return None
    found = [claim.verdict for claim in claims]
    counts = tuple(
        (verdict, sign, word, found.count(verdict))
        for verdict, (sign, word) in VERDICT_WORDS.items()
        if verdict in found
    )
    shown = tuple(_show(claim) for claim in claims)
    return ShownClaims(shown, counts, _resamples(claims), _common_reason(claims))


def _show(claim: JudgedClaim) -> ShownClaim:
    low, high = _range(claim.parts)
    parts = tuple(
        ShownPart(
            part,
            *VERDICT_WORDS[part.verdict],
            _plot(part, low, high),
            _part_lines(part),
        )
        for part in claim.parts
    )
    resampled = any(part.images for part in claim.parts)
    method = METHOD_WORDS[claim.method] if claim.method and resampled else ""
    word = VERDICT_WORDS[claim.verdict]
    return ShownClaim(claim, *word, method, _trials(claim), _lines(claim), parts)


def _trials(claim: JudgedClaim) -> str:
    """Say how many trainings of each model were measured; empty if it is about counts alone."""
    measured = [part for part in claim.parts if part.interval is not None]
    numbers = {len(cell.trials) for part in measured for cell in part.cells}
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    said = count(high, "trial") if low == high else f"{low} to {high} trials"
    return f"{said} of each model"


def _resamples(claims: Sequence[JudgedClaim]) -> str:
    """Begin a sentence about one resample."""
    numbers = sorted({claim.resamples for claim in claims if claim.resamples})
    if not numbers:
        return "a resample"
    return f"each of {' or '.join(f'{number:,}' for number in numbers)} resamples"


def _common_reason(claims: Sequence[JudgedClaim]) -> str:
    """Return what is said of every difference that has an interval."""
    reasons = {part.reason for claim in claims for part in claim.parts if part.interval}
    return reasons.pop() if len(reasons) == 1 else ""


def in_words(claim: JudgedClaim) -> str:
    """Return in a line how sure a claim's verdict is, what would decide it, or why nothing is."""
    reasons = {part.reason for part in claim.parts if part.interval}
    why = reasons.pop() if len(reasons) == 1 else ""
    return "; ".join(filter(None, (*_lines(claim), why)))


def _lines(claim: JudgedClaim) -> tuple[str, ...]:
    said = (
        p_in_words(claim.p_value),
        holm_in_words(claim.verdict, survives=claim.survives_holm),
        needed_in_words(claim.needed),
    )
    return tuple(line for line in said if line)


def _part_lines(part: JudgedPart) -> tuple[str, ...]:
    said = (p_in_words(part.p_value), needed_in_words(part.needed))
    return tuple(line for line in said if line)


def p_in_words(p_value: float | None) -> str:
    """Return a p-value with two digits; empty if there is none."""
    if p_value is None:
        return ""
    return f"p = {p_value:.2g}" if p_value >= 1e-4 else "p < 0.0001"


def holm_in_words(verdict: Verdict, *, survives: bool | None) -> str:
    """Return whether a claim's verdict survives Holm's correction; empty if it decides nothing."""
    if survives is None or verdict not in ("holds", "does-not-hold"):
        return ""
    return "survives Holm" if survives else "does not survive Holm"


def needed_in_words(needed: Needed | None) -> str:
    """Return what would decide a difference or claim; empty if nothing is known of that."""
    if needed is None:
        return ""
    if needed.trials is not None:
        return f"{needed.trials} trials of each model would decide it"
    if needed.images is not None:
        times = f"{needed.images:.1f}" if needed.images < 10 else f"{needed.images:.0f}"
        return f"no number of trials would decide it, but {times} times as many images might"
    return f"not even {MOST_TRIALS} trials would decide it"


def _range(parts: Sequence[JudgedPart]) -> tuple[float, float]:
    """What all plots of one claim have room for, so that they can be compared."""
    numbers = [0.0]
    for part in parts:
        if part.interval:
            numbers += [*part.interval, *(part.images or ())]
            numbers += [] if part.paper is None else [part.paper]
    low, high = min(numbers), max(numbers)
    return (low, high) if high > low else (low - 1, high + 1)


def _plot(part: JudgedPart, low: float, high: float) -> Plot | None:
    if part.interval is None or part.difference is None:
        return None

    def place(value: float) -> float:
        inner = WIDTH_PX - 2 * _MARGIN_PX
        return round(_MARGIN_PX + inner * (value - low) / (high - low), 1)

    return Plot(
        zero=place(0),
        measured=place(part.difference),
        paper=None if part.paper is None else place(part.paper),
        interval=(place(part.interval.low), place(part.interval.high)),
        images=part.images and (place(part.images.low), place(part.images.high)),
        text=_in_words(part, part.interval),
    )


def _in_words(part: JudgedPart, interval: Interval) -> str:
    words = [f"95 % interval from {signed(interval.low)} to {signed(interval.high)}"]
    if part.images and part.trainings:
        words.append(
            f"from the images alone {signed(part.images.low)} to {signed(part.images.high)}"
        )
        low, high = part.trainings
        words.append(f"from the trainings alone {signed(low)} to {signed(high)}")
    if part.shift is not None:
        words.append(f"the resamples are shifted by {signed(part.shift)}")
    if interval.low <= 0 < interval.high:
        words.append("contains zero")
    return "; ".join(words)
