"""PointRend: Image Segmentation as Rendering, reproduced from raw data to finished tables.

    import pointrend_repro as pr
    weights = "data/checkpoints/pointrend_r50_fpn_3x_coco/model_final_edd263.pkl"  # data fetch
    model = pr.load_model("pointrend_r50_fpn_coco", weights=weights)
    out = model.predict(image)
    own = pr.load_model("results/mine/mine/pointrend_r50_fpn/trial0/model.safetensors")

What is named here is loaded on first use: importing the package costs nothing.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointrend_repro.api.loading import load_model
    from pointrend_repro.api.subdivision import subdivision
    from pointrend_repro.base.errors import UserError
    from pointrend_repro.checkpoints.known_models import list_models
    from pointrend_repro.evaluation import evaluate_predictions

    __version__: str

_WHERE = {
    "UserError": "base.errors",
    "evaluate_predictions": "evaluation",
    "list_models": "checkpoints.known_models",
    "load_model": "api.loading",
    "subdivision": "api.subdivision",
}

__all__ = [
    "UserError",
    "__version__",
    "evaluate_predictions",
    "list_models",
    "load_model",
    "subdivision",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("pointrend-repro")
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
