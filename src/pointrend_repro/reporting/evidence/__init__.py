"""A preset's outcome as files to keep in the repository, and as tables in docs/evidence.md.

`writing` writes the folder of a run, `packing` the archive of its metric files, from which anybody
judges the claims again without a training, `tables` the Markdown of its claims, `verdicts` that of
the verdicts of all runs beside each other, and `blocks` puts these between the marks of the page.
"""
