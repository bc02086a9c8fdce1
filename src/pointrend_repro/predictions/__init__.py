"""Trained models to predictions on disk: objects and label maps."""
