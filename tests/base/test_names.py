"""Names are words: whatever else a person types or a file says is refused before it is used."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from config_files import CLAIMS, read_config
from pointrend_repro import cli
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.names import is_name
from pointrend_repro.config.finding import files_of
from pointrend_repro.config.presets import Preset
from pointrend_repro.config.reading import load_dataset, load_preset, load_table, load_variant
from pointrend_repro.config.tables import Table
from pointrend_repro.config.variants import Variant
from pointrend_repro.data.fetch.catalogue import Catalogue
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.workflow import WorkflowConfig, read_workflow_config
from pointrend_repro.reporting.claims.schema import load_claims

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = REPOSITORY / "config"
RULE = "lowercase letters, digits and underscores make a name"
EVIL = [
    "x;touch PWNED;",
    "../presets/smoke",
    "presets/../smoke",
    "/etc/passwd",
    "a b",
    "$(touch PWNED)",
    "`touch PWNED`",
    "q'q",
    'q"q',
    "sm{oke}",
    "<script>",
    "-rf",
    "a.b",
    "..",
    "",
    "smoke\n",
    "Smoke",
    "ü",
    "\u202esmoke",
    "a\0b",
    "x" * 101,
]

# --- names -----------------------------------------------------------------------------------


@given(st.text(max_size=8) | st.text("abz019_", max_size=101))
@example("٣")  # a digit, but of another alphabet
def test_a_name_is_a_word_of_a_few_letters(text: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert is_name(text) == (0 < len(text) <= 100 and set(text) <= allowed)


@pytest.mark.parametrize(
    ("load", "folder"),
    [
        (load_preset, "presets"),
        (load_variant, "variants"),
        (load_dataset, "datasets"),
        (load_table, "tables"),
    ],
)
def test_files_of_other_names_are_not_found_even_where_they_are(
    load: Callable[[str, Path], object], folder: str, tmp_path: Path
) -> None:
    shutil.copytree(CONFIG, tmp_path / "config")
    (tmp_path / "config" / folder / "a b.yaml").write_text("title: x\n")
    for name in EVIL:
        with pytest.raises(UserError) as told:
            load(name, tmp_path / "config")
        assert f"{folder[:-1]} " in str(told.value)
        assert RULE in str(told.value)
        assert str(told.value).isprintable(), "one line, whatever the name holds"
        assert len(str(told.value)) < 250


def test_a_slip_of_the_shift_key_is_understood() -> None:
    with pytest.raises(UserError, match="did you mean 'smoke'"):
        load_preset("Smoke")


def change(value: Any, *keys: str | int, to: Any) -> None:
    *path, last = keys
    for key in path:
        value = value[key]
    assert isinstance(value, list) or last in value
    value[last] = to


def rename(settings: dict[str, Any], *keys: str, to: str) -> None:
    for key in keys[:-1]:
        settings = settings[key]
    settings[to] = settings.pop(keys[-1])


@pytest.mark.parametrize("evil", EVIL)
def test_no_file_may_say_such_a_name(evil: str) -> None:
    def read(name: str) -> Any:
        return read_config(name)

    def refused(schema: Any, values: Any) -> None:
        with pytest.raises(ValidationError, match=RULE):
            schema.model_validate(values)

    for keys in (("tables", 0), ("datasets", "coco")):
        preset = read("presets/tiny")
        change(preset, *keys, to=evil)
        refused(Preset, preset)
    for key in ("variant", "inference"):
        table = read("tables/table1")
        change(table, "rows", "4conv_28", key, to=evil)
        refused(Table, table)
    for section, key in (("rows", "4conv_28"), ("columns", "coco_ap")):
        table = read("tables/table1")
        rename(table, section, key, to=evil)
        refused(Table, table)
    variant = read("variants/pointrend_r50_fpn")
    rename(variant, "inference", "res28", to=evil)
    refused(Variant, variant)
    with pytest.raises(UserError, match=RULE):
        read_workflow_config({"preset": evil})


@pytest.mark.parametrize("evil", EVIL)
def test_no_claim_and_no_download_may_be_called_so(evil: str, tmp_path: Path) -> None:
    claims = read_config(CLAIMS)
    claim = claims["pointrend_outperforms_4conv"]
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump({evil: claim}))
    with pytest.raises(UserError, match=f"claim .*{RULE}"):
        load_claims(tmp_path)
    downloads = yaml.safe_load((CONFIG / "downloads.yaml").read_text())
    name, download = next(iter(downloads["downloads"].items()))
    with pytest.raises(ValidationError, match=RULE):
        Catalogue.model_validate({"downloads": {evil: download}})
    if evil in {"a.b", "Smoke", "x" * 101}:
        return  # a file may be called that
    download["files"][0]["urls"] = []
    download["files"][0]["package"] = evil or None
    with pytest.raises(ValidationError):
        Catalogue.model_validate({"downloads": {name: download | {"site": "https://a.b"}}})


COMMANDS = {
    "--preset": [
        "plan --preset {}",
        "collect --preset {}",
        "report --preset {}",
        "claims --preset {}",
        "curves --preset {} --output o.csv",
        "figure figure5 --preset {} --output o.png",
        "picture comparison --preset {} --output o.json",
        "cost --preset {} --variant pointrend_r50_fpn --inference res28 --output o.json",
    ],
    "--dataset": [
        "train --preset smoke --dataset {} --variant a --trial 0 --output o",
        "data generate --dataset {}",
        "data prepare --dataset {}",
        "data check --dataset {} --output o",
    ],
    "--variant": [
        "train --preset smoke --dataset a --variant {} --trial 0 --output o",
        "cost --preset smoke --variant {} --inference res28 --output o.json",
    ],
    "--inference": [
        "predict --preset smoke --dataset a --variant a --inference {} --model m --output o",
        "cost --preset smoke --variant pointrend_r50_fpn --inference {} --output o.json",
    ],
    "--name": ["data check . --name {}", "data check . --write --name {}"],
}


@pytest.mark.parametrize("option", COMMANDS)
def test_no_command_takes_such_a_name(
    option: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for command in COMMANDS[option]:
        for evil in ["../presets/smoke", "x;touch PWNED;", ""]:
            words = [evil if word == "{}" else word for word in command.split()]
            with pytest.raises(UserError, match=f"^{option} .*{RULE}"):
                cli.app([*words, "--config-dir", str(CONFIG)], standalone_mode=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["work"], "nothing was made"


def test_what_is_shipped_has_names() -> None:
    for kind in ("preset", "variant", "dataset", "table"):
        names = list(files_of(kind, CONFIG))
        assert names
        assert all(map(is_name, names))
    assert load_claims(CONFIG).claims
    assert load_grid("smoke").evaluations


# --- what rules make of them -----------------------------------------------------------------

RULES = sorted((REPOSITORY / "workflow/rules").glob("*.smk"))
# Several words of a command: of numbers alone, and of a path that `program` quotes.
MADE_OF_WORDS = {"resources.launcher", "resources.program"}


def shell_lines(text: str) -> list[str]:
    """The command of each rule: the strings below its `shell:`."""
    found = re.findall(r'^ *shell:\n((?: *"[^\n]*"\n)+)', text, re.M)
    assert len(found) == len(re.findall(r"^ *shell:", text, re.M))
    return ["".join(re.findall(r'"([^\n]*)"\n', lines)) for lines in found]


def unquoted(line: str) -> list[str]:
    placeholders = re.findall(r"\{([^{}]*)\}", line.replace("{{", "").replace("}}", ""))
    return [p for p in placeholders if not p.endswith(":q") and p not in MADE_OF_WORDS]


def test_rules_quote_every_value_of_a_command() -> None:
    lines = [line for rules in RULES for line in shell_lines(rules.read_text())]
    assert len(lines) > 10
    for line in lines:
        assert line.count("{") > 1
        assert unquoted(line) == []
        assert "'{" not in line, "quoted twice"
    assert unquoted("a {params.x} >{log} {log[0]:q} {{x}}") == ["params.x", "log"]
    for rules in [REPOSITORY / "Snakefile", *RULES]:
        assert not re.search(r"\bshell\(|os\.system|subprocess", rules.read_text())


def test_an_engines_python_is_quoted() -> None:
    settings = WorkflowConfig(preset="smoke", detectron2_python=Path("/my $(touch x)/python"))
    assert settings.program("detectron2") == "'/my $(touch x)/python' -m pointrend_repro"
