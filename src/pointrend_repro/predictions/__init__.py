"""From trained models to predictions on disk: objects, label maps and proposals."""
