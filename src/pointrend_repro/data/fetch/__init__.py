"""Data sets and weights, fetched from where they are published, or taken where they already lie."""
