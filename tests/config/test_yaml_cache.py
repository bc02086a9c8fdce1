"""A file of `config/` is read anew, however often its text was parsed."""

from pathlib import Path

from pointrend_repro.config import yaml_files


def test_what_a_reader_changes_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: {b: [1]}\n")
    yaml_files.read_yaml(path)["a"]["b"].append(2)
    assert yaml_files.read_yaml(path) == {"a": {"b": [1]}}
    path.write_text("a: {b: [3]}\n")
    assert yaml_files.read_yaml(path) == {"a": {"b": [3]}}
