"""PointRend's figures, a drawing a file; `config/papers/pointrend/figures.yaml` names them.

Figures 4 to 7 take boxes and classes from the ground truth: they are about masks, and even a barely
trained model then shows how these come about.
"""
