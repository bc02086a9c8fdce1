"""Benchmarks of this project against others: the runner of the cases in `benchmarks/cases/`.

A case is a file with a function `make(size, device)` that returns a `Case`. Every number it gives
is a ratio within one run: the sides take turns (A B A B ...), so that a slow moment of the machine
affects all of them.
"""
