"""The commands of `pointrend-repro`, a group a file; `cli.py` gathers them.

Heavy libraries are imported by the command that needs them, so that `--help` answers at once.
"""
