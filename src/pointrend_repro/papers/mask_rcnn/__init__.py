"""Code that only Mask R-CNN's paper needs."""
