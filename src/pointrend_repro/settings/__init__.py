"""Typed settings of trainings and predictions, and which of them decide a result."""
