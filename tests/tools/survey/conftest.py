"""Good folders to break."""

import json
import shutil
from pathlib import Path

import pytest
from broken_folders import SPLITS, coco_file

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
