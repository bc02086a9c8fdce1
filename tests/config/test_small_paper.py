"""docs/papers.md, done word for word: the small paper of its first example."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from pointrend_repro import cli
from pointrend_repro.base.errors import UserError
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.experiments.loading import load_grid

PAGE = (Path(__file__).resolve().parents[2] / "docs/papers.md").read_text()
NAME = "mine_paper"


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    """The configuration, and beside it the files that the page prints."""
    folder = tmp_path / "config"
    shutil.copytree(CONFIG_DIR, folder)
    blocks = re.findall(
        rf"^```yaml\n# config/(papers/{NAME}/\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
    )
    assert len(blocks) == 4
    for name, text in blocks:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_printed_command_plans_it(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"plan --preset smoke --papers {NAME}"
    assert f"pointrend-repro {command}" in PAGE
    monkeypatch.setattr(sys, "argv", ["x", *command.split(), "--config-dir", str(config_dir)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    assert (ended.value.code, told.err) == (0, "")
    assert re.search(rf"^generated_coco/{NAME}_more_points +0/1", told.out, re.MULTILINE)


@pytest.mark.parametrize("preset", ["smoke", "paper"])
def test_it_runs_in_presets_of_all_papers(config_dir: Path, preset: str) -> None:
    grid = load_grid(preset, config_dir, papers=[NAME])
    (table,) = grid.tables.values()
    assert [row.variant for row in table.rows.values()] == [
        "pointrend_r50_fpn",
        f"{NAME}_more_points",
    ]
    own = grid.training_settings(grid.preset.datasets["coco"], f"{NAME}_more_points")
    assert own.model.mask_head.train_points == 784


def test_without_a_protocol_its_own_model_is_refused(config_dir: Path) -> None:
    (config_dir / f"papers/{NAME}/protocol.yaml").unlink()
    with pytest.raises(UserError, match="recipe 'instances' is not one of its paper's"):
        load_grid("smoke", config_dir, papers=[NAME])
