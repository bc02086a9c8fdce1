"""Inspects a folder of data that is not configured yet, and proposes settings for it.

`inspecting.py` runs everything; the other modules do not know of each other.
"""
