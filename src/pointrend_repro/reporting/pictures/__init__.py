"""What the page shows beside tables and figures: pictures to move, curves, and AP against cost.

`thinning` makes one CSV of the training logs, `curves` and `costs` lay out plots of numbers by
means of `plot`, `load` reads all that a preset has, and `page_pictures.html.j2` shows it.
"""
