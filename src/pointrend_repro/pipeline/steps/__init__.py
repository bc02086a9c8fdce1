"""The steps behind the arrows of the pipeline: each reads files and writes files, with origins.

Beside every result lies `<result>.origin.json`: which experiment it belongs to, and the records of
the steps that led to it. A step is a file, since a record names the modules that a step has loaded.
"""
