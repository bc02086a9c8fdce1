"""Data sets and weights: fetched from their publishers, or used where they already lie."""
