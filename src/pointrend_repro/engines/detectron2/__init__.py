"""detectron2 and its PointRend project as an engine (docs/detectron2.md).

`config.py` translates our settings to detectron2's and does not need it; everything else here does.
"""

# The commit that the translation was written for and tested with; docs/detectron2.md: how to build.
COMMIT = "02b5c4e295e990042a714712c21dc79b731e8833"
