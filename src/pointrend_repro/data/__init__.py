"""Data sets: on-disk layouts in, images and targets out."""
