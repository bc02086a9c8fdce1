"""A folder of data that no configuration names yet: found, checked, described, and set up.

`taking.py` goes through all of it; the other modules know nothing of each other's work.
"""
