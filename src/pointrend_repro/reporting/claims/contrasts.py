"""A claim as differences of cells that are above zero where it holds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pointrend_repro.config.tables import Column, Table
from pointrend_repro.reporting.claims.schema import (
    BetterClaim,
    Claim,
    GainClaim,
    GainFallsClaim,
    GainsLessClaim,
    GreaterClaim,
    Pair,
    SaturationClaim,
    WithinClaim,
)

# (row, column) of the claim's table.
CellName = tuple[str, str]
# A cell and the factor by which it counts.
Term = tuple[CellName, float]


@dataclass(frozen=True)
class Contrast:
    """A sum of cells, each with a factor, and of a number.

    Attributes:
        text: what must be above zero, in words.
        unit: of the cells, and so of the sum.
        factors: by cell.
        counted: whether the cells are counts, which are the same in every preset and run.
        offset: the number.
    """

    text: str
    unit: str
    factors: dict[CellName, float]
    counted: bool
    offset: float = 0.0

    def of(self, value: Callable[[CellName], float]) -> float:
        """Return the sum for a value of each cell."""
        return self.offset + sum(factor * value(cell) for cell, factor in self.factors.items())

    def in_paper(self, table: Table) -> float | None:
        """Return the sum of the published numbers; None if one is not published."""
        paper = {cell: table.rows[cell[0]].paper.get(cell[1]) for cell in self.factors}
        if None in paper.values():
            return None
        # They have one decimal; so has their sum, but for the rounding of binary fractions.
        return round(self.of(lambda cell: paper[cell] or 0.0), 6)


def contrasts(claim: Claim, table: Table) -> list[Contrast]:
    """Return the differences that must all be above zero for the claim to hold."""
    match claim:
        case GreaterClaim():
            return list(_greater(claim, table))
        case GainClaim():
            return list(_gain_greater(claim, table))
        case BetterClaim():
            return list(_better(claim, table))
        case WithinClaim():
            return list(_within(claim, table))
        case GainsLessClaim():
            return list(_gains_less(claim, table))
        case GainFallsClaim():
            return list(_gain_falls(claim, table))
        case SaturationClaim():
            return list(_saturates(claim, table))


def _greater(claim: GreaterClaim, table: Table) -> Iterator[Contrast]:
    factor = "" if claim.times == 1 else f"{claim.times:g} × "
    margin = f" − {claim.by:g}" if claim.by else ""
    for name in claim.columns:
        for better, worse in claim.pairs:
            yield _contrast(
                f"{table.columns[name].title}: "
                f"{table.rows[better].title} − {factor}{table.rows[worse].title}{margin}",
                table.columns[name],
                [((better, name), 1.0), ((worse, name), -claim.times)],
                offset=-claim.by,
            )


def _within(claim: WithinClaim, table: Table) -> Iterator[Contrast]:
    """Two one-sided tests: the difference is below the limit, and above its negative."""
    for name in claim.columns:
        column = table.columns[name]
        for first, second in claim.pairs:
            difference = f"({table.rows[first].title} − {table.rows[second].title})"
            for sign, factor in (("−", -1.0), ("+", 1.0)):
                yield _contrast(
                    f"{column.title}: {claim.within:g} {sign} {difference}",
                    column,
                    [((first, name), factor), ((second, name), -factor)],
                    offset=claim.within,
                )


def _gains_less(claim: GainsLessClaim, table: Table) -> Iterator[Contrast]:
    for name in claim.columns:
        column = table.columns[name]
        for pair in claim.pairs:
            gain, terms = _gain(pair, column, name, table)
            yield _contrast(
                f"{column.title}: {claim.than:g} − ({gain})",
                column,
                _negative(terms),
                offset=claim.than,
            )


def _gain_falls(claim: GainFallsClaim, table: Table) -> Iterator[Contrast]:
    for name in claim.columns:
        column = table.columns[name]
        for pair, other in pairwise(claim.pairs):
            gain, terms = _gain(pair, column, name, table)
            less, taken = _gain(other, column, name, table)
            text = f"{column.title}: ({gain}) − ({less})"
            yield _contrast(text, column, [*terms, *_negative(taken)])


def _better(claim: BetterClaim, table: Table) -> Iterator[Contrast]:
    for name in claim.columns:
        column = table.columns[name]
        for pair in claim.pairs:
            gain, terms = _gain(pair, column, name, table)
            yield _contrast(f"{column.title}: {gain}", column, terms)


def _gain_greater(claim: GainClaim, table: Table) -> Iterator[Contrast]:
    for pair in claim.pairs:
        for more, less in pairwise(claim.columns):
            gain, terms = _gain(pair, table.columns[more], more, table)
            _, taken = _gain(pair, table.columns[less], less, table)
            yield _contrast(
                f"{gain}: in {table.columns[more].title} − in {table.columns[less].title}",
                table.columns[more],
                [*terms, *_negative(taken)],
            )


def _saturates(claim: SaturationClaim, table: Table) -> Iterator[Contrast]:
    rows = (claim.rows[0], claim.at, claim.rows[-1])
    titles = [table.rows[row].title for row in rows]
    rise, beyond = (f"{before} → {after}" for before, after in pairwise(titles))
    for name in claim.columns:
        column = table.columns[name]
        first, at, last = ((row, name) for row in rows)
        yield _contrast(f"{column.title}: {rise}", column, [(at, 1.0), (first, -1.0)])
        yield _contrast(
            f"{column.title}: ({rise}) − ({beyond})",
            column,
            [(at, 2.0), (first, -1.0), (last, -1.0)],
        )


def _gain(pair: Pair, column: Column, name: str, table: Table) -> tuple[str, list[Term]]:
    """How much better a pair's first row is than its second: in words, and as a sum."""
    better, worse = pair
    more, less = (worse, better) if column.lower_is_better else (better, worse)
    words = f"{table.rows[more].title} − {table.rows[less].title}"
    return words, [((more, name), 1.0), ((less, name), -1.0)]


def _negative(terms: Sequence[Term]) -> list[Term]:
    return [(cell, -factor) for cell, factor in terms]


def _contrast(text: str, column: Column, terms: Sequence[Term], *, offset: float = 0.0) -> Contrast:
    """Add up the factors of each cell: pairs may have one in common, as in gains that fall."""
    factors: dict[CellName, float] = {}
    for cell, factor in terms:
        factors[cell] = factors.get(cell, 0.0) + factor
    there = {cell: factor for cell, factor in factors.items() if factor}
    return Contrast(text, column.unit, there, counted=column.is_exact, offset=offset)
