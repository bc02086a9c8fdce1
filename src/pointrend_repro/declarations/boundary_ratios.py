"""How thick a boundary is, as a share of an image's diagonal.

Of the authors of Boundary IoU (2103.16562), in their tools at bowenc0221/boundary-iou-api 8006aa98:
2 % for COCO and LVIS; for Cityscapes 0.5 % (--dilation-ratio of
tools/cityscapes_instance_evaluation.py), which are 11 pixels of its 1024x2048 where 2 % are 46.
"""

COCO_RATIO = 0.02
CITYSCAPES_RATIO = 0.005
