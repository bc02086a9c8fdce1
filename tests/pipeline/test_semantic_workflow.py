"""Semantic models in the pipeline, as Snakemake plans it."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from working_copy import PARTS, REPOSITORY, WorkingCopy

TABLES = ["table6", "table7", "trimap"]
EVALUATE = ("evaluate_cityscapes_miou", "evaluate_cityscapes_miou_trimap_miou")


@pytest.fixture
def copy(tmp_path: Path) -> WorkingCopy:
    """The pipeline with the tables of semantic models alone."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for part in PARTS:
        source = REPOSITORY / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    for path in (folder / "config/presets").glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        content |= {"tables": TABLES, "figures": [], "pictures": []}
        if "cityscapes" in content["datasets"]:
            for section in ("datasets", "trials"):
                content[section] = {"cityscapes": content[section]["cityscapes"]}
        path.write_text(yaml.safe_dump(content))
    return WorkingCopy(folder)


def commands(copy: WorkingCopy, *config: str) -> list[str]:
    done = copy.snakemake("--dry-run", "--printshellcmds", "--config", *config)
    assert done.returncode == 0, done.stderr
    return re.findall(r"^Shell command: (.*)$", done.stderr + done.stdout, re.M)


def count(lines: list[str], *words: str) -> int:
    return sum(all(word in line for word in words) for line in lines)


def test_plan_of_smoke(copy: WorkingCopy) -> None:
    jobs = copy.plan("--config", "preset=smoke")
    rules = ("train", "predict_labels", *EVALUATE)
    assert {rule: jobs[rule] for rule in rules} == {
        "train": 6,
        "predict_labels": 7,  # DeepLabV3 at two output strides
        EVALUATE[0]: 3,
        EVALUATE[1]: 4,
    }
    assert "predict" not in jobs


def test_plan_of_the_paper(copy: WorkingCopy) -> None:
    (copy.folder / "my data/cs").mkdir(parents=True, exist_ok=True)
    lines = commands(copy, "preset=paper", "cityscapes_root=my data/cs")
    assert count(lines, "pointrend-repro train", "'--data-root=my data/cs'") == 6 * 5
    assert count(lines, "pointrend-repro predict", "/labels ", "'--data-root=my data/cs'") == 7 * 5
    for metric, predictions in (("cityscapes_miou", 7), ("trimap_miou", 4)):
        assert count(lines, f"'{metric}=my data/cs'", "/labels ") == predictions * 5


def test_a_metric_takes_the_folder_of_its_own_prediction(copy: WorkingCopy) -> None:
    for line in commands(copy, "preset=smoke"):
        if "evaluate" in line:
            folder = re.search(r"--predictions (\S+)/labels ", line)
            assert folder is not None
            assert f"--output {folder[1]} " in line
