"""Write tests/recorded/detectron2_configs.json: what detectron2's own configuration files set.

    python tests/engines/record_detectron2_configs.py PATH_OF_DETECTRON2_SOURCE

`defaults` has all keys of detectron2 and its PointRend project; each configuration only those whose
value is another.
"""

import json
import sys
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode, get_cfg
from detectron2.projects.point_rend import add_pointrend_config

OUTPUT = Path(__file__).resolve().parents[1] / "recorded" / "detectron2_configs.json"
_POINTREND = "projects/PointRend/configs"
CONFIGS = (
    "configs/COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml",
    "configs/COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x.yaml",
    "configs/COCO-InstanceSegmentation/mask_rcnn_R_50_DC5_1x.yaml",
    f"{_POINTREND}/InstanceSegmentation/pointrend_rcnn_R_50_FPN_1x_coco.yaml",
    f"{_POINTREND}/InstanceSegmentation/pointrend_rcnn_R_101_FPN_3x_coco.yaml",
    f"{_POINTREND}/InstanceSegmentation/pointrend_rcnn_X_101_32x8d_FPN_3x_coco.yaml",
    f"{_POINTREND}/InstanceSegmentation/pointrend_rcnn_R_50_FPN_1x_cityscapes.yaml",
    f"{_POINTREND}/SemanticSegmentation/pointrend_semantic_R_101_FPN_1x_cityscapes.yaml",
)


def main(source: Path) -> None:
    defaults = _flat(_defaults())
    recorded = {"defaults": defaults}
    for name in CONFIGS:
        cfg = _defaults()
        cfg.merge_from_file(str(source / name))
        values = _flat(cfg)
        recorded[Path(name).stem] = {k: v for k, v in values.items() if v != defaults[k]}
    OUTPUT.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")


def _defaults() -> CfgNode:
    cfg = get_cfg()
    add_pointrend_config(cfg)
    return cfg


def _flat(node: CfgNode, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, CfgNode):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
