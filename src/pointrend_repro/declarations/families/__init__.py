"""Families of models, a file each."""
