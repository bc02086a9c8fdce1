"""Which grids adaptive subdivision goes through, and how many points of each it predicts.

Source: PointRend, section 3.1, Inference.
"""

from collections.abc import Sequence


def subdivision_steps(
    coarse_resolution: int, output_resolution: int, points_per_step: int
) -> list[tuple[int, int]]:
    """Return (resolution, number of points predicted) for each step (section 3.1, Inference).

    From M0 to M in log2(M / M0) doublings, at most N points each, and never more than a grid has:
    7 -> 224 with N = 28 * 28 gives 14 * 14 points, then four times 28 * 28.

    Raises:
        ValueError: M is not M0 times a power of two, or M0 or N is not positive.
    """
    if coarse_resolution < 1 or points_per_step < 1:
        raise ValueError(f"needs M0 >= 1 and N >= 1, got {coarse_resolution} and {points_per_step}")
    steps = []
    resolution = coarse_resolution
    while resolution < output_resolution:
        resolution *= 2
        steps.append((resolution, min(points_per_step, resolution * resolution)))
    if resolution != output_resolution:
        raise ValueError(
            f"output resolution {output_resolution} is not {coarse_resolution} times a power of 2"
        )
    return steps


def rendered_steps(
    coarse_resolution: int, output_resolution: int, points_per_step: int
) -> list[tuple[int, int]]:
    """Return the steps of `subdivision_steps` that decide the result (`first_to_matter`).

    7 -> 224 with N = 28 * 28 gives four times 28 * 28 points, beginning with all of 28 x 28.
    """
    steps = subdivision_steps(coarse_resolution, output_resolution, points_per_step)
    return steps[first_to_matter([side * side for side, _ in steps], points_per_step) :]


def first_to_matter(cells: Sequence[int], points_per_step: int) -> int:
    """Return the number, from 0, of the first step that decides the result.

    A step that predicts a whole grid discards all steps before it, so it is the last of these, or
    the very first step if none does.

    Args:
        cells: of each step's grid, from small to large.
        points_per_step: N; a grid of no more cells is predicted whole.
    """
    whole = [number for number, count in enumerate(cells) if count <= points_per_step]
    return whole[-1] if whole else 0
