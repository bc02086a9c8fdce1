"""Which figures there are and which trained models each needs; a dry run reads it."""

from typing import Literal, get_args

from pointrend_repro.base.errors import UserError

FigureName = Literal["figure2", "figure4", "figure5", "figure6", "figure7", "figure8", "figure9"]
# Beside the paper's figures, on the page alone: what can be moved, and what is plotted.
DrawnPicture = Literal["comparison", "subdivision"]  # from trained models
PlottedPicture = Literal["curves", "costs"]  # from numbers
PictureName = DrawnPicture | PlottedPicture

# The paper whose figures, and drawn pictures, these all are.
PAPER = "pointrend"

BASELINE = "mask_rcnn_r50_fpn"
POINTREND = "pointrend_r50_fpn"
DEEPLAB = "deeplabv3_r103"
DEEPLAB_POINTREND = "deeplabv3_pointrend_r103"

VARIANTS: dict[FigureName, tuple[str, ...]] = {
    "figure2": (BASELINE, POINTREND),
    "figure4": (POINTREND,),
    "figure5": (POINTREND,),
    "figure6": (POINTREND,),
    "figure7": (POINTREND,),
    "figure8": (BASELINE, POINTREND, DEEPLAB, DEEPLAB_POINTREND),
    "figure9": (DEEPLAB_POINTREND,),
}

# The table's data set (see `schema.Preset.datasets`) whose images a figure shows.
DATASETS: dict[FigureName, str] = dict.fromkeys(VARIANTS, "coco") | {
    "figure8": "cityscapes",
    "figure9": "cityscapes",
}


PICTURE_VARIANTS: dict[DrawnPicture, tuple[str, ...]] = {
    "comparison": (BASELINE, POINTREND),
    "subdivision": (POINTREND,),
}
PICTURE_DATASET = "coco"


def known_figure(name: str) -> FigureName:
    """Return `name` if there is such a figure.

    Raises:
        UserError: there is none.
    """
    for figure in get_args(FigureName):
        if name == figure:
            known: FigureName = figure
            return known
    raise UserError(f"there is no figure {name!r}; there are: {', '.join(get_args(FigureName))}")


def known_picture(name: str) -> DrawnPicture:
    """Return `name` if there is such a picture to draw from models.

    Raises:
        UserError: there is none.
    """
    for picture in get_args(DrawnPicture):
        if name == picture:
            known: DrawnPicture = picture
            return known
    raise UserError(f"there is no picture {name!r}; there are: {', '.join(get_args(DrawnPicture))}")
