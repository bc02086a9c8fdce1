"""The grid of trainings, predictions and evaluations that tables ask for."""
