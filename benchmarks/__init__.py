"""Measurements of this project against others; `pointrend-repro bench` runs those of `cases/`."""
