"""A preset's outcome as files to keep in the repository, and as tables in docs/evidence.md.

`writing` writes the folder of a run, `packing` the archive of its metric files, from which anybody
judges the claims again without a training; `kept` reads such a folder, whose metric files may be
gone, `tables` makes Markdown of it, and `blocks` puts that between the marks of a page.
"""
