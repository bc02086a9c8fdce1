"""PointRend's figures, one file each; `config/papers/pointrend/figures.yaml` names them.

Figures 4 to 7 take boxes and classes from the ground truth: they are about masks, and then even a
barely trained model shows how masks are rendered.
"""
