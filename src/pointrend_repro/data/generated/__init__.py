"""Scenes made for this project, rendered from exact outlines and written in the official layouts.

Objects have smooth, spiky, thin, holed and occluding outlines. As in the real data sets, the COCO
outlines are coarse and the LVIS and Cityscapes outlines exact: the difference between AP and AP*.

`settings.generated` says what is drawn; `coco_layout` and `cityscapes_layout` draw it.
"""
