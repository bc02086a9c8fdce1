"""Training: the loop, its learning rate, and its checkpoints."""
