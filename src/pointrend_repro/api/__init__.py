"""Using a model from Python, and on one image."""
