"""Data sets: reads on-disk layouts and yields images and targets."""
