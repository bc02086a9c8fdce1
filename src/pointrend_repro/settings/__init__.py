"""Typed settings of trainings and predictions, and what of them decides a result."""
