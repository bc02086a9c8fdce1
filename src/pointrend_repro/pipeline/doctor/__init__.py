"""`pointrend-repro doctor`: what this machine has, and what each preset still needs.

Nothing here imports torch, which takes seconds, or asks a network.
"""
