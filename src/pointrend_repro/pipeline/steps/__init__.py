"""The steps behind the pipeline's rules: each reads files and writes files, with origins.

Beside every result lies its record (base/origins.py): which experiment it belongs to, and the
records of the steps that led to it. Each step is a file of its own, since a record names the
modules loaded.
"""
