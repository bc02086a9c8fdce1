"""Files of `config/` against their schemas: right ones pass, wrong keys do not, all are covered."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from pointrend_repro.commands.schemas import schemas

REPOSITORY = Path(__file__).resolve().parents[2]
WRONG = "no_such_key"
# What editors are told: the files of each schema, below the repository.
TOLD = json.loads((REPOSITORY / ".vscode/settings.json").read_text())["yaml.schemas"]
FILES = {Path(schema).stem: patterns for schema, patterns in TOLD.items()}


@pytest.fixture(scope="module")
def validators() -> dict[str, Draft202012Validator]:
    found = schemas()
    for schema in found.values():
        Draft202012Validator.check_schema(schema)
    return {kind: Draft202012Validator(schema) for kind, schema in found.items()}


def files(kind: str) -> list[Path]:
    found = [path for pattern in FILES[kind] for path in sorted(REPOSITORY.glob(pattern))]
    assert found, kind
    return found


def content(path: Path) -> Any:
    # As an editor reads it: keys are strings, and there are no tuples.
    return json.loads(json.dumps(yaml.safe_load(path.read_text())))


@pytest.mark.parametrize("kind", sorted(FILES))
def test_files_are_valid(kind: str, validators: dict[str, Draft202012Validator]) -> None:
    for path in files(kind):
        assert [error.message for error in validators[kind].iter_errors(content(path))] == [], path


@pytest.mark.parametrize("kind", sorted(FILES))
def test_a_wrong_key_is_found(kind: str, validators: dict[str, Draft202012Validator]) -> None:
    wrong = content(files(kind)[0])
    inner = next(iter(wrong.values())) if kind in {"claims", "protocol"} else wrong
    inner[WRONG] = 1
    assert not validators[kind].is_valid(wrong)


@pytest.mark.parametrize(
    ("kind", "file", "place"),
    [
        ("variant", "config/papers/pointrend/models/pointrend_r50_fpn.yaml", ["model"]),
        ("variant", "config/variants/deeplabv3_r103_hard_pixels.yaml", ["model", "decoder"]),
        ("table", "config/tables/mine.yaml", ["columns", "ap"]),
        ("preset", "config/presets/smoke.yaml", ["overrides"]),
        ("downloads", "config/downloads.yaml", ["downloads", "coco"]),
    ],
)
def test_a_wrong_key_inside_is_found(
    kind: str, file: str, place: list[str], validators: dict[str, Draft202012Validator]
) -> None:
    right = content(REPOSITORY / file)
    wrong = copy.deepcopy(right)
    inner = wrong
    for key in place:
        inner = inner[key]
    inner[WRONG] = {}
    assert validators[kind].is_valid(right)
    assert not validators[kind].is_valid(wrong)


def test_a_variant_that_is_like_no_other_needs_a_model(
    validators: dict[str, Draft202012Validator],
) -> None:
    alone = content(REPOSITORY / "config/variants/deeplabv3_r103_hard_pixels.yaml")
    del alone["same_as"]
    assert not validators["variant"].is_valid(alone)


def test_schemas_are_those_that_are_committed() -> None:
    committed = {
        path.stem: json.loads(path.read_text()) for path in (REPOSITORY / "schemas").glob("*.json")
    }
    assert committed == schemas(), "make schemas"


def test_every_file_has_a_schema_and_editors_are_told() -> None:
    covered = {path for kind in FILES for path in files(kind)}
    assert set((REPOSITORY / "config").rglob("*.yaml")) == covered
    assert set(TOLD) == {f"./schemas/{kind}.json" for kind in schemas()}
