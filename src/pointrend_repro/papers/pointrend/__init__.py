"""Code that only PointRend's paper needs."""
