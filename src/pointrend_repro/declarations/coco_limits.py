"""Other limits than COCO's for its evaluator."""

from typing import NamedTuple


class CocoLimits(NamedTuple):
    """What COCO's evaluator counts as small and large, and how many detections it looks at.

    Attributes:
        area_limits_px: small objects have at most the first number of pixels, large ones at least
            the second, as annotated; COCO's are 32^2 and 96^2.
        max_detections: of one class in one image, the highest-scoring first, in ascending order.
            Precision counts the last.
    """

    area_limits_px: tuple[int, int]
    max_detections: tuple[int, ...]

    def as_settings(self) -> dict[str, list[int]]:
        """Return the limits for a record."""
        return {name: list(values) for name, values in self._asdict().items()}


# Of the 3D-FUTURE challenge: footnote 1 of the report for the areas. The organisers' evaluator
# looks at 10 detections (segmentation/inst_segm_evaluation/cocoeval.py, line 427, at
# 3D-FRONT-FUTURE/3D-FUTURE-AI-Challenge-Baseline 9ba4da9d), the winner's code at COCO's 100
# (mmdet/datasets/future_dataset.py, line 379, at zehuichen123/3DFuture_ins_seg 6caaf9cd).
FUTURE3D = CocoLimits((113**2, 256**2), (1, 5, 10))
FUTURE3D_100 = CocoLimits((113**2, 256**2), (1, 10, 100))
