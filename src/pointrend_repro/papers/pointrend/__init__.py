"""Code that PointRend's paper alone needs."""
