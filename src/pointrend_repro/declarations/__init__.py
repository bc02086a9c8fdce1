"""Declarations of each kind of thing, one light file each, found by name in a folder.

A declaration holds what others must know before anything runs: reading one imports neither torch
nor an official tool. The code that computes is named by `module:function`, and imported when it is
used. Other packages declare theirs by entry points (docs/your_metric.md).
"""
