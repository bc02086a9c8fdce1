"""From trained models to predictions on disk: objects and label maps."""
