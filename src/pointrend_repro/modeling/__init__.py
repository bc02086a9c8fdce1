"""Mask R-CNN, its mask heads and the point rendering of the paper."""
