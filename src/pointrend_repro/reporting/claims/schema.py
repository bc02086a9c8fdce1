"""What a paper's claims.yaml holds: each claim as a rule about cells of one table."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.base.names import Name, require_name
from pointrend_repro.base.texts import Text
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.papers import Paper, list_papers, load_paper
from pointrend_repro.config.reading import load_table
from pointrend_repro.config.tables import Table
from pointrend_repro.config.yaml_files import read_yaml, validate
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.settings.values import PositiveFloat, Strict

_FILE = "claims.yaml"

# Rows: the better one, the worse one.
Pair = tuple[Name, Name]


class _Claim(Strict):
    statement: Text = Field(description="in the paper's words, as far as one sentence can")
    source: Text = Field(description="where in the paper it says so")
    table: Name


class _ClaimOfPairs(_Claim):
    # Here, so that it stays the first key after the table in the schema.
    kind: str
    pairs: Annotated[list[Pair], Field(min_length=1)]
    columns: Annotated[list[Name], Field(min_length=1)]

    @property
    def rows(self) -> list[str]:
        """All rows that it names."""
        return [row for pair in self.pairs for row in pair]

    @model_validator(mode="after")
    def _rows_differ(self) -> Self:
        for first, second in self.pairs:
            if first == second:
                raise ValueError(f"pairs compare row {first!r} with itself")
        return self


class GreaterClaim(_ClaimOfPairs):
    """In each column, the first row of each pair is above the second, `times` it, or `by` more."""

    kind: Literal["greater"]
    times: PositiveFloat = 1
    by: Annotated[float, Field(ge=0)] = Field(0, description="in the columns' unit")


class WithinClaim(_ClaimOfPairs):
    """In each column, the rows of each pair differ by less than `within`, either way."""

    kind: Literal["within"]
    within: PositiveFloat = Field(description="in the columns' unit")


class GainsLessClaim(_ClaimOfPairs):
    """In each column, the first row of each pair gains less than `than` over the second."""

    kind: Literal["gains_less"]
    than: PositiveFloat = Field(description="in the columns' unit")


class GainFallsClaim(_ClaimOfPairs):
    """In each column, each pair's first row gains more over its second than the next pair's."""

    kind: Literal["gain_falls"]
    pairs: Annotated[list[Pair], Field(min_length=2)]

    @model_validator(mode="after")
    def _neighbours_differ(self) -> "GainFallsClaim":
        for pair, other in pairwise(self.pairs):
            if pair == other:
                raise ValueError(f"pairs {list(pair)} stand twice in a row")
        return self


class BetterClaim(_ClaimOfPairs):
    """In each column, the first row of each pair is better: above, or below where less is."""

    kind: Literal["better"]


class GainClaim(_ClaimOfPairs):
    """A pair's first row gains more over its second in each column than in the next one."""

    kind: Literal["gain_greater"]
    columns: Annotated[list[Name], Field(min_length=2)]

    @model_validator(mode="after")
    def _neighbours_differ(self) -> "GainClaim":
        for column, other in pairwise(self.columns):
            if column == other:
                raise ValueError(f"columns compare {column!r} with itself")
        return self


class SaturationClaim(_Claim):
    """Along the rows a number rises up to `at`, and by less from there to the last."""

    kind: Literal["saturates"]
    rows: Annotated[list[Name], Field(min_length=3)]
    at: Name
    columns: Annotated[list[Name], Field(min_length=1)]

    @model_validator(mode="after")
    def _at_is_between(self) -> "SaturationClaim":
        if self.at not in self.rows[1:-1]:
            raise ValueError(f"at {self.at!r} must be a row between the first and the last")
        if len(set(self.rows)) < len(self.rows):
            raise ValueError("rows name one twice")
        return self


Claim = (
    GreaterClaim
    | GainClaim
    | SaturationClaim
    | BetterClaim
    | WithinClaim
    | GainsLessClaim
    | GainFallsClaim
)

# By what a claim's `kind` may say.
_KINDS: dict[str, type[Claim]] = {
    get_args(each.model_fields["kind"].annotation)[0]: each for each in get_args(Claim)
}


@dataclass(frozen=True)
class Claims:
    """All claims by name, and the tables that they are about."""

    claims: dict[str, Claim]
    tables: dict[str, Table]


def load_claims(config_dir: Path = CONFIG_DIR, papers: Sequence[str] | None = None) -> Claims:
    """Read the papers' `claims.yaml`, the user's `config/claims.yaml`, and the tables they name.

    A paper's claims are about its own tables, and have its prefix before their names.

    Args:
        papers: whose claims to read; none: those of all.

    Raises:
        UserError: a file is wrong, or names a cell that no table has or nothing measures.
    """
    claims: dict[str, Claim] = {}
    files: dict[str, Path] = {}
    for path, paper in _claim_files(
        config_dir, list_papers(config_dir) if papers is None else papers
    ):
        for name, claim in _read_file(path, paper).items():
            if name in files:
                raise UserError(f"{files[name]} and {path} both have claim {name!r}")
            claims[name], files[name] = claim, path
    names = dict.fromkeys(claim.table for claim in claims.values())
    tables = {name: load_table(name, config_dir) for name in names}
    for name, claim in claims.items():
        _check_cells(claim, tables[claim.table], f"{files[name]}: claim {name!r}")
    return Claims(claims, tables)


def _claim_files(config_dir: Path, papers: Sequence[str]) -> list[tuple[Path, Paper | None]]:
    read = [load_paper(name, config_dir) for name in papers]
    files: list[tuple[Path, Paper | None]] = [(paper.folder / _FILE, paper) for paper in read]
    return [each for each in [*files, (config_dir / _FILE, None)] if each[0].exists()]


def _read_file(path: Path, paper: Paper | None) -> dict[str, Claim]:
    """Return a file's claims by the names that they have among those of all papers."""
    found: dict[str, Claim] = {}
    for key, values in read_yaml(path).items():
        name = require_name(str(key), f"{path}: claim")
        claim = _read_claim(values, f"{path}: claim {name!r}")
        if paper is not None:
            if claim.table not in paper.about.tables:
                hint = suggest(claim.table, paper.about.tables)
                raise UserError(
                    f"{path}: claim {name!r}: the paper has no table {claim.table!r}{hint}"
                )
            name = paper.public(name)
            claim = claim.model_copy(update={"table": paper.public(claim.table)})
        found[name] = claim
    return found


def _read_claim(values: Any, where: str) -> Claim:
    kind = values.get("kind") if isinstance(values, dict) else None
    if kind not in _KINDS:
        raise UserError(f"{where}: kind is {kind!r}; there are: {', '.join(_KINDS)}")
    schema = _KINDS[kind]
    return validate(schema, values, where)


def _check_cells(claim: Claim, table: Table, where: str) -> None:
    for what, names, there in (
        ("row", claim.rows, list(table.rows)),
        ("column", claim.columns, list(table.columns)),
    ):
        for name in names:
            if name not in there:
                raise UserError(
                    f"{where}: table {claim.table!r} has no {what} {name!r}{suggest(name, there)}"
                )
    for name in claim.rows:
        if table.rows[name].runs is None:
            raise UserError(
                f"{where}: row {name!r} of table {claim.table!r} has published numbers only, so "
                "there is nothing to judge by"
            )
    for name in claim.columns:
        if METRICS.find(table.columns[name].metric).measured:
            raise UserError(
                f"{where}: column {name!r} of table {claim.table!r} is measured on whatever device "
                "is at hand, so there is nothing to judge by"
            )
    units = {table.columns[name].unit for name in claim.columns}
    if isinstance(claim, GainClaim) and len(units) > 1:
        raise UserError(f"{where}: columns of the units {sorted(units)} cannot be compared")
    directions = {table.columns[name].lower_is_better for name in claim.columns}
    if isinstance(claim, GainClaim) and len(directions) > 1:
        raise UserError(f"{where}: less is better in some of its columns, and more in others")
