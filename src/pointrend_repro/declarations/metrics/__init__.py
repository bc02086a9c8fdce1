"""The metrics of this package, each declared by the file of its name."""
