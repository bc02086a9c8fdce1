"""detectron2 and its PointRend project as an engine (docs/detectron2.md).

`config.py` says our settings in detectron2's words and needs no detectron2; all else here runs it.
"""

# What the translation was written and tested against; see docs/detectron2.md for how to build it.
COMMIT = "02b5c4e295e990042a714712c21dc79b731e8833"
