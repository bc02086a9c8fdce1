"""What a person types: the examples below each command's `--help`, by the command's name."""

_MODEL = "results/mine/mine/pointrend_r50_fpn/trial0/model.safetensors"
_PUBLISHED = "data/checkpoints/pointrend_r50_fpn_3x_coco/model_final_edd263.pkl"
_OF_MINE = "--preset mine --dataset mine --variant pointrend_r50_fpn"

EXAMPLES: dict[str, tuple[str, ...]] = {
    "segment": (
        "pointrend-repro segment ~/photos --output found",
        f"pointrend-repro segment 'photos/**/*.jpg' --weights {_MODEL} --output found",
    ),
    "demo": (
        "pointrend-repro demo photo.jpg --output found.png",
        f"pointrend-repro demo photo.jpg --weights {_MODEL} --output found.png",
    ),
    "convert": (
        f"pointrend-repro convert {_PUBLISHED} coco.safetensors --model pointrend_r50_fpn_coco",
    ),
    "export": (
        f"pointrend-repro export {_MODEL} --format onnx --output pointrend.onnx",
        f"pointrend-repro export pointrend_r50_fpn_coco --weights {_PUBLISHED} "
        "--format pt2 --output pointrend.pt2",
    ),
    "ensemble": (
        "pointrend-repro ensemble one.json two.json --scores 77.4,77.2 --output both.json",
    ),
    "data fetch": (
        "pointrend-repro data fetch --list",
        "pointrend-repro data fetch pointrend_r50_fpn_3x_coco",
    ),
    "data generate": ("pointrend-repro data generate --dataset generated_coco",),
    "data prepare": ("pointrend-repro data prepare --dataset cityscapes",),
    "data check": (
        "pointrend-repro data check ~/screws",
        "pointrend-repro data check ~/screws --write",
        "pointrend-repro data check --dataset coco --output findings.json",
    ),
    "data mend": ("pointrend-repro data mend ~/screws ~/screws_mended",),
    "data show": (
        "pointrend-repro data show --preset smoke --dataset generated_coco "
        "--variant sharpmask_deepmask_r50 --output patches.png",
    ),
    "check-head": (
        "pointrend-repro check-head my_heads:Blurred",
        "pointrend-repro check-head my_heads:Blurred --set sigma=2",
    ),
    "plan": (
        "pointrend-repro plan --preset paper --gpu a100",
        "pointrend-repro plan --preset mine --gpu t4 --gpus-per-training 1",
    ),
    "doctor": (
        "pointrend-repro doctor",
        "pointrend-repro doctor --preset mine",
        "pointrend-repro doctor --preset paper --papers 3dfuture",
    ),
    "train": (
        f"pointrend-repro train {_OF_MINE} --trial 0 --output {_MODEL}",
        f"pointrend-repro train {_OF_MINE} --trial 0 --set optimizer.base_lr=0.005 "
        "--output slower/model.safetensors",
    ),
    "predict": (
        f"pointrend-repro predict {_OF_MINE} --inference res224 --model {_MODEL} "
        "--output predictions.json",
    ),
    "propose": (
        "pointrend-repro propose --preset smoke --dataset generated_coco "
        "--variant sharpmask_selective_search --inference fast --output proposals.json",
    ),
    "evaluate": (
        "pointrend-repro evaluate coco_ap --ground-truth instances_val2017.json "
        "--predictions predictions.json --output coco_ap.json",
    ),
    "evaluate-all": (
        "pointrend-repro evaluate-all coco_ap=instances_val2017.json "
        "boundary_ap=instances_val2017.json --predictions predictions.json --output scores",
    ),
    "cost": (
        "pointrend-repro cost --preset paper --variant pointrend_r50_fpn --inference res224 "
        "--output cost.json",
    ),
    "figure": ("pointrend-repro figure figure5 --preset smoke --output figure5.png",),
    "picture": ("pointrend-repro picture comparison --preset smoke --output comparison.json",),
    "curves": ("pointrend-repro curves --preset smoke --output curves.csv",),
    "collect": ("pointrend-repro collect --preset smoke",),
    "claims": ("pointrend-repro claims --preset smoke",),
    "report": ("pointrend-repro report --preset smoke",),
    "evidence": ("pointrend-repro evidence --preset mini",),
    "compare": (
        "pointrend-repro compare results/paper ../other_clone/results/paper --output both.html",
    ),
    "verify": ("pointrend-repro verify --preset smoke",),
    "bench": ("pointrend-repro bench --list", "pointrend-repro bench --device cuda"),
}
