"""Mean IoU in bands of several widths along the borders of classes (docs/trimap.md)."""

from pointrend_repro.declarations.metric import Metric, percent

METRIC = Metric(
    name="trimap_miou",
    reads="label_maps",
    truth="val_label_images",
    layouts=("cityscapes",),
    keys=percent("mIoU@r=4", "mIoU@r=8", "mIoU@r=10", "mIoU@r=20", "mIoU"),
    score="pointrend_repro.evaluation.trimap:score_trimap_miou",
    resample="pointrend_repro.evaluation.bootstrap.label_counts:pixel_counts",
)
