"""What annotation tools write that `data check` refuses, put right in a copy of the folder.

Each module mends one kind of thing by functions from a COCO document to a mended one. `planning.py`
puts them in order, `writing.py` makes the copy; nothing else writes. An entry that is right stays
as it is, and what cannot be decided is left for the check to refuse.
"""
