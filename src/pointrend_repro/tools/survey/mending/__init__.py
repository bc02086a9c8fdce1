"""Corrects what annotation tools write and `data check` refuses, in a copy of the folder.

Each module corrects one kind of fault by functions from a COCO document to a corrected one.
`planning.py` applies them in order, `writing.py` makes the copy; nothing else writes. Correct
entries stay as they are, and what cannot be decided is left for the check to refuse.
"""
