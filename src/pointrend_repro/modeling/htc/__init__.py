"""Hybrid Task Cascade: three stages of box and mask heads that refine each other's results."""
