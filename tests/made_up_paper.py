"""A paper that nobody wrote, as a folder that is put beside PointRend's; nothing else changes."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from config_files import read_config
from pointrend_repro.config.yaml_files import CONFIG_DIR

NAME = "made_up"
OTHERS = {"coco_ap": 41.0}
MODEL = "mask_rcnn_r50_fpn"

# Another protocol than PointRend's, in a setting that no preset overrides.
PROTOCOL = {
    "coco": {
        "instances": {
            "optimizer": {"weight_decay": 0.0005},
            "schedules": {"1x": {"total_iters": 160_000, "lr_drop_iters": [120_000]}},
        }
    }
}


def rows() -> dict[str, Any]:
    own = {"title": "Ours", "variant": MODEL, "inference": "default", "paper": {"coco_ap": 30}}
    theirs = {"title": "Theirs", "variant": "pointrend_r50_fpn", "inference": "res224", "paper": {}}
    printed = {"title": "Old", "numbers_of": "Old et al., their Table 2", "paper": OTHERS}
    return {"own": own, "theirs": theirs, "old": printed}


def column() -> dict[str, Any]:
    return read_config("tables/table1")["columns"]["coco_ap"]


def claim(better: str = "own", worse: str = "theirs") -> dict[str, Any]:
    return {
        "statement": "Ours is better.",
        "source": "nowhere",
        "kind": "greater",
        "table": "table1",
        "pairs": [[better, worse]],
        "columns": ["coco_ap"],
    }


def add_paper(config_dir: Path, name: str = NAME, **about: Any) -> Path:
    """Add a paper with one table, one model and one claim, called as PointRend's."""
    folder = config_dir / "papers" / name
    (folder / "tables").mkdir(parents=True)
    (folder / "models").mkdir()
    about = {
        "title": "Made up & <done>",
        "short_title": "Made-Up",
        "authors": "N. Obody",
        "tables": ["table1"],
    } | about
    table = {
        "title": "Table 1: Ours",
        "caption": "Made up.",
        "source": "nowhere",
        "columns": {"coco_ap": column()},
        "rows": rows(),
    }
    files = {
        "paper": about,
        "tables/table1": table,
        "protocol": PROTOCOL,
        "claims": {"best": claim()},
    }
    for path, value in files.items():
        write(folder / f"{path}.yaml", value)
    model = read_config(f"variants/{MODEL}") | {"title": "Ours"}
    write(folder / f"models/{MODEL}.yaml", model)
    return folder


def write(path: Path, value: Any) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=False))


def config_with_paper(folder: Path) -> Path:
    """Copy `config/` and add the made-up paper."""
    shutil.copytree(CONFIG_DIR, folder)
    add_paper(folder)
    return folder
