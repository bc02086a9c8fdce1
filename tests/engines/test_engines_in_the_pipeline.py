"""Two engines in one grid, as variants, tables and Snakemake see them; detectron2 not needed."""

import importlib.util
from pathlib import Path

import pytest
import torch
import yaml

from config_files import config_file
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.detectron2_names import from_detectron2, to_detectron2
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.config.reading import CONFIG_DIR, load_variant
from pointrend_repro.engines.detectron2.install import require_detectron2
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.workflow import WorkflowConfig
from small_experiment import PRESET, write_small_config
from working_copy import WorkingCopy, make_copy

BY_DETECTRON2 = [path.stem for path in (CONFIG_DIR / "variants").glob("*_detectron2.yaml")]


def test_there_are_variants_of_both_engines() -> None:
    assert len(BY_DETECTRON2) == 5


@pytest.mark.parametrize("name", BY_DETECTRON2)
def test_a_variant_of_detectron2_is_ours_but_for_the_engine(name: str) -> None:
    theirs, ours = load_variant(name), load_variant(name.removesuffix("_detectron2"))
    assert (theirs.engine, ours.engine) == ("detectron2", "pointrend_repro")
    assert theirs.title != ours.title
    same = theirs.model_dump(exclude={"engine", "title"})
    wanted = ours.model_dump(exclude={"engine", "title"})
    if name == "semantic_fpn_pointrend_r101_detectron2":
        wanted["model"]["pointrend"]["uncertainty"] = "logits"
    assert same == wanted


def test_same_as_needs_a_variant_of_its_own(tmp_path: Path) -> None:
    config = write_small_config(tmp_path / "config")
    path = config / "variants/third.yaml"
    path.write_text("title: x\nsame_as: pointrend_r50_fpn_detectron2\n")
    with pytest.raises(UserError, match="itself is pointrend_r50_fpn; name that"):
        load_variant("third", config)
    path.write_text("title: x\nsame_as: pointrend_r50\n")
    with pytest.raises(UserError, match="did you mean 'pointrend_r50_fpn'"):
        load_variant("third", config)


def test_tables_show_each_model_by_both_engines() -> None:
    grid = load_grid("paper_detectron2")
    for table in grid.tables.values():
        rows = list(table.rows.values())
        for ours, theirs in zip(rows[::2], rows[1::2], strict=True):
            assert theirs.variant == f"{ours.variant}_detectron2"
            assert (theirs.inference, theirs.paper) == (ours.inference, ours.paper)
    settings = grid.training_settings("coco", "pointrend_r50_fpn_detectron2")
    assert settings.engine == "detectron2"


def test_a_grid_with_what_detectron2_cannot_do_is_refused(tmp_path: Path) -> None:
    config = write_small_config(tmp_path / "config")  # with a narrow trunk
    path = config_file("tables/table1", config)
    table = yaml.safe_load(path.read_text())
    table["rows"]["4conv_28"]["variant"] = "mask_rcnn_r50_fpn_detectron2"
    path.write_text(yaml.safe_dump(table))
    told = r"variants/mask_rcnn_r50_fpn_detectron2.yaml: engine detectron2 has no .*resnet18_narrow"
    with pytest.raises(UserError, match=told):
        load_grid(PRESET, config)


def test_heads_of_ours_have_names_in_detectron2() -> None:
    with torch.device("meta"):
        model = build_model(load_variant("sharpmask_r50_fpn").model, num_classes=3)
    names = {name: name for name in model.state_dict()}
    theirs = to_detectron2(names)
    own = {theirs_name for theirs_name, ours in theirs.items() if ours.startswith("mask_head.")}
    assert own
    assert all(name.startswith("roi_heads.mask_head.head.") for name in own)
    back = from_detectron2(theirs)
    assert {k: v for k, v in names.items() if "num_batches" not in k} == back


def test_without_detectron2_one_line_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"no detectron2; build it as docs/detectron2.md says"):
        require_detectron2()
    settings = WorkflowConfig(preset="any")
    with pytest.raises(UserError, match="detectron2_python=PATH"):
        settings.require_engines(["pointrend_repro", "detectron2"], in_conda=False)
    settings.require_engines(["pointrend_repro"], in_conda=False)
    settings.require_engines(["detectron2"], in_conda=True)
    named = WorkflowConfig(preset="any", detectron2_python=Path("/my envs/bin/python"))
    named.require_engines(["detectron2"], in_conda=False)
    assert named.program("detectron2") == "'/my envs/bin/python' -m pointrend_repro"
    assert named.program("pointrend_repro") == settings.program("detectron2") == "pointrend-repro"


@pytest.fixture
def copy(tmp_path: Path) -> WorkingCopy:
    """Preset smoke with one trained row, by detectron2, on a trunk that it has."""
    made = make_copy(tmp_path / "copy")
    made.edit("config/scales/narrow.yaml", "name: resnet18_narrow", "name: resnet50")
    made.edit("config/scales/narrow.yaml", "norm: gn", "norm: bn")
    made.edit(
        "config/papers/pointrend/tables/table1.yaml",
        "variant: mask_rcnn_r50_fpn",
        "variant: mask_rcnn_r50_fpn_detectron2",
    )
    return made


def test_detectron2_has_rules_and_a_python_of_its_own(copy: WorkingCopy) -> None:
    found = copy.plan("--config", "preset=smoke", "detectron2_python=/there/python")
    assert (found["train"], found["train_with_detectron2"]) == (2, 2)
    assert (found["predict"], found["predict_with_detectron2"]) == (4, 2)
    done = copy.snakemake("-np", "--config", "preset=smoke", "detectron2_python=/there/python")
    commands = [line for line in done.stdout.splitlines() if "Shell command:" in line]
    by_variant = {line for line in commands if "--variant mask_rcnn_r50_fpn_detectron2" in line}
    by_program = {line for line in commands if "/there/python -m pointrend_repro" in line}
    assert by_variant == by_program
    assert len(by_variant) == 4


@pytest.mark.skipif(
    importlib.util.find_spec("detectron2") is not None, reason="detectron2 is installed"
)
def test_nothing_is_planned_without_detectron2(copy: WorkingCopy) -> None:
    done = copy.snakemake("-n", "--config", "preset=smoke")
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "docs/detectron2.md" in line
