"""Checkpoints of other projects: reading them safely, and moving weights to and from them."""
