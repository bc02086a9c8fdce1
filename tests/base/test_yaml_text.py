"""YAML from outside: read without running anything, or refused in one line with its place."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.base import yaml_text
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.yaml_text import parse_yaml
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.reading import read_yaml


@pytest.mark.parametrize("path", sorted(CONFIG_DIR.rglob("*.yaml")), ids=lambda p: p.stem)
def test_our_own_files_are_what_pyyaml_reads(path: Path) -> None:
    assert parse_yaml(path.read_text()) == yaml.safe_load(path.read_text())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: " + "[" * 2_000, "nested too deeply"),
        ("a: " + "{a: " * 5_000, "nested too deeply"),
        ("- " * 5_000, "nested too deeply"),
        ("a: " + "9" * 5_000, "no such value .*line 1, column 4"),
        ("a: 0x" + "f" * 5_000, "more than 100 digits.*line 1"),
        ("b: 1\na: " + "1:" * 500 + "1", "more than 100 digits.*line 2"),
        ("a: " + "1:" * 500 + "1.5", "no such value .OverflowError"),
        ("a: 2020-13-45", "no such value .*month must be in 1..12.*line 1"),
        ("a: !!int ''", "no such value .*line 1"),
        ("a: !!bool x", "no such value .*line 1"),
        ("a: !!timestamp x", "no such value .*line 1"),
        ("a: &x [*x]", "recursive"),
        ("&a {<<: *a}", "merge"),
        ("a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
    ],
)
def test_what_nobody_can_mean_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"some\.yaml: not valid YAML: .*{told}") as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 400


def test_a_file_that_nobody_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "MOST_CHARACTERS", 10)
    with pytest.raises(ValueError, match="16 characters, far more than a person would type"):
        parse_yaml("a: 1\n# a comment")


TOKENS = ["a", "b", ": ", "- ", "\n", "  ", "{", "}", "[", "]", ", ", "&x ", "*x", "1", ":", "'"]
TOKENS += ["!!int ", "!!float ", "!!set ", "!!omap ", "!!pairs ", "!!binary ", "!!timestamp "]
TOKENS += ["!!bool ", "!!null ", "!!map ", "!!seq ", "? ", "<<", "2020-0", ".inf", "0x", "|", "%"]


@given(st.lists(st.sampled_from(TOKENS), max_size=14).map("".join))
@settings(max_examples=300, deadline=None)
def test_whatever_it_is_it_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        value: Any = parse_yaml(text)
    except ValueError as error:
        told = str(error)
    else:
        told = ""
        assert value == yaml.safe_load(text)
    assert "\n" not in told
