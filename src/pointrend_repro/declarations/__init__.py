"""What there is of each kind of thing, one light file each, found by its name in a folder.

A declaration says what others must know before anything runs: neither torch nor an official tool
is imported to read one. What computes is named by `module:function`, and imported when it is used.
Packages of others declare theirs by entry points (docs/your_metric.md).
"""
