"""Bilinear interpolation as a loop over four cells: what the package is checked against."""

import math


def bilinear(grid: list[list[float]], x: float, y: float) -> float:
    """Value of an H x W grid at box-normalised (x, y); cells have their centre at + 0.5."""
    height, width = len(grid), len(grid[0])
    column, row = x * width - 0.5, y * height - 0.5
    left, top = math.floor(column), math.floor(row)
    value = 0.0
    for i in (top, top + 1):
        for j in (left, left + 1):
            if 0 <= i < height and 0 <= j < width:
                value += (1 - abs(row - i)) * (1 - abs(column - j)) * grid[i][j]
    return value
