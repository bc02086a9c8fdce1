"""Cityscapes in the pipeline, as Snakemake plans it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The pipeline's own files, as a clone has them."""
    folder = tmp_path / "copy"
    for part in ("workflow", "config", "profiles"):
        shutil.copytree(REPOSITORY / part, folder / part)
    shutil.copy(REPOSITORY / "Snakefile", folder / "Snakefile")
    return folder


def commands(folder: Path, *config: str) -> list[str]:
    """The commands for Cityscapes' column of Table 1 that a dry run prints."""
    arguments = ["--dry-run", "--printshellcmds", "--config", *config]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = re.findall(r"^Shell command: (.*)$", done.stderr + done.stdout, re.M)
    return [line for line in lines if re.search(r"cityscapes\b", line)]


def count(lines: list[str], *words: str) -> int:
    return sum(all(word in line for word in words) for line in lines)


def test_smoke_draws_prepares_checks_and_scores(copy: Path) -> None:
    lines = commands(copy, "preset=smoke")
    for command in ("generate", "prepare", "check"):
        assert count(lines, f"data {command} --dataset generated_cityscapes") == 1
    assert count(lines, "pointrend-repro train", "--variant mask_rcnn_r50_fpn ") == 1
    evaluations = [line for line in lines if " cityscapes_ap=" in line]
    assert len(evaluations) == len(set(evaluations)) >= 3
    assert count(evaluations, "cityscapes_ap=data/generated_cityscapes ") == len(evaluations)


def test_the_paper_reads_the_users_own_folder(copy: Path) -> None:
    """Each of both layouts has its own; COCO's is not taken for Cityscapes'."""
    for folder in ("my data/cs", "of coco"):
        (copy / folder).mkdir(parents=True, exist_ok=True)
    lines = commands(copy, "preset=paper", "cityscapes_root=my data/cs", "data_root=of coco")
    assert count(lines, "data generate") == 0
    assert count(lines, "data prepare", "'--data-root=my data/cs'") == 1
    # Before the training, and again for the report.
    assert count(lines, "data check", "'--data-root=my data/cs'") == 2
    for variant in ("mask_rcnn_r50_fpn", "pointrend_r50_fpn"):
        trainings = [line for line in lines if f"--variant {variant} --trial" in line]
        assert count(trainings, "pointrend-repro train", "'--data-root=my data/cs'") == 5
    evaluations = [line for line in lines if "cityscapes_ap=" in line]
    assert count(evaluations, "'cityscapes_ap=my data/cs'") == len(evaluations) >= 15
    assert count(lines, "of coco") == 0
