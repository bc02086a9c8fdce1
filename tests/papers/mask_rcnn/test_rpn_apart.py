"""Models whose proposals are of an RPN that was trained apart, as the paper's ablations were."""

import re
import shutil
from pathlib import Path

import yaml

from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.settings.at_test import detector_at_test

PAGE = Path(__file__).resolve().parents[3] / "docs/mask_rcnn.md"
PRESET, DATASET = "paper_rpn_apart", "coco"


def test_the_pages_file_adds_a_row_with_the_same_proposals(tmp_path: Path) -> None:
    config = Path(shutil.copytree(CONFIG_DIR, tmp_path / "config"))
    (block,) = re.findall(r"```yaml\n(# \S+_apart\.yaml\n.*?)```", PAGE.read_text(), re.DOTALL)
    file = block.split()[1]
    (config / "papers/mask_rcnn/models" / file).write_text(block)
    table = config / "tables/rpn_apart.yaml"
    content = yaml.safe_load(table.read_text())
    variant = f"mask_rcnn_{Path(file).stem}"
    content["rows"]["added"] = content["rows"]["apart"] | {"variant": variant}
    table.write_text(yaml.safe_dump(content))
    grid = load_grid(PRESET, config)
    added = grid.training_settings(DATASET, variant)
    apart = grid.training_settings(DATASET, "mask_rcnn_resnet50_c4_rpn_apart")
    assert added.model.mask_head.mask_loss == "softmax"
    assert added.proposals_from == apart.proposals_from is not None


def test_an_rpn_alone_proposes_as_many_boxes_as_in_the_authors_code() -> None:
    grid = load_grid(PRESET)
    source = "mask_rcnn_rpn_resnet50_c4"
    detector = grid.training_settings(DATASET, source).model.detector
    tested = detector_at_test(detector, grid.variants[source].inference["proposals"].test)
    assert (tested.rpn_pre_nms_test, tested.rpn_post_nms) == (12000, 2000)
