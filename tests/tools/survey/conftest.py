"""Good folders to break, and the command line in this process."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from broken_folders import SPLITS, coco_file
from mended_folders import Run

from pointrend_repro import cli
from pointrend_repro.data.generated.coco_layout import generate_coco
from pointrend_repro.settings.generated import GeneratedSettings


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("good") / "generated"
    settings = GeneratedSettings(
        train_images=6, val_images=4, width_px=128, height_px=80, crowd_image_share=0.125
    )
    generate_coco(root, settings)
    (root / "annotations/lvis_v0.5_val.json").unlink()
    return root


@pytest.fixture(scope="session")
def photographs(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three train and three val images of COCO, with all categories."""
    root = tmp_path_factory.mktemp("good") / "photographs"
    (root / "annotations").mkdir(parents=True)
    for split, count in zip(SPLITS, (3, 3), strict=True):
        source = shared_data / "coco_tiny"
        document = json.loads(coco_file(source, split).read_text())
        document["images"] = document["images"][:count]
        ids = {image["id"] for image in document["images"]}
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] in ids]
        coco_file(root, split).write_text(json.dumps(document))
        (root / f"{split}2017").mkdir()
        for image in document["images"]:
            shutil.copy(source / f"{split}2017" / image["file_name"], root / f"{split}2017")
    return root


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pointrend-repro", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run
