"""Mask R-CNN's figures, one file each; `config/papers/mask_rcnn/figures.yaml` names them."""
