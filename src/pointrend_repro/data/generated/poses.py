"""Poses of people: the joints of a body in three dimensions, seen from the front, side or back.

Lengths are shares of a standing adult's height. The camera sees along the body's depth axis:
x to the right, y down, and depth towards the camera.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Half widths and lengths of an adult.
_SHOULDER, _HIP, _TORSO, _NECK = 0.105, 0.06, 0.29, 0.1
_UPPER_ARM, _FOREARM, _THIGH, _SHIN = 0.16, 0.15, 0.23, 0.23
_HEAD = np.array([0.058, 0.058])  # sideways and forwards

# On the head: to the left, up and forwards, in units of its radius.
_FACE = {
    "nose": (0.0, -0.15, 1.0),
    "left_eye": (0.45, 0.2, 0.85),
    "right_eye": (-0.45, 0.2, 0.85),
    "left_ear": (1.0, 0.05, 0.0),
    "right_ear": (-1.0, 0.05, 0.0),
}


class Limbs(NamedTuple):
    """Angles of one side's limbs in degrees.

    Attributes:
        arm: of the upper arm: forwards, and to the side.
        elbow: how far it is bent, forwards.
        thigh: forwards, and to the side.
        knee: how far it is bent, backwards.
    """

    arm: tuple[float, float]
    elbow: float
    thigh: tuple[float, float]
    knee: float


class Body(NamedTuple):
    """A posed body.

    Attributes:
        joints: COCO's keypoints by name, and `head` and `neck`: x, y and depth, from the middle
            of the hips.
        yaw_deg: where it looks: 0 at the camera, 90 to the right of the image, 180 away.
    """

    joints: dict[str, NDArray[np.float64]]
    yaw_deg: float


def sample_body(rng: np.random.Generator) -> Body:
    """Return a body that stands, walks, sits, reaches or waves, turned in any direction."""
    # People look at the camera more often than away from it.
    yaw = float(rng.choice([rng.normal(0, 25), rng.uniform(35, 145), -rng.uniform(35, 145), 180.0]))
    yaw += float(rng.normal(0, 8))
    left, right = _sample_limbs(rng)
    if rng.random() < 0.5:
        left, right = right, left
    return Body(_joints(left, right, yaw, head=float(rng.uniform(0.95, 1.3))), yaw)


def _sample_limbs(rng: np.random.Generator) -> tuple[Limbs, Limbs]:
    kind = rng.choice(["stand", "walk", "sit", "reach", "jump"], p=[0.3, 0.3, 0.15, 0.15, 0.1])
    first, second = (_hanging(rng), _hanging(rng))
    if kind == "walk":
        stride, swing = rng.uniform(15, 35), rng.uniform(15, 40)
        first = first._replace(arm=(-swing, 6.0), thigh=(stride, 2.0), knee=rng.uniform(0, 15))
        second = second._replace(arm=(swing, 6.0), thigh=(-stride, 2.0), knee=rng.uniform(10, 50))
    if kind == "sit":
        knee, lift = rng.uniform(70, 100), rng.uniform(65, 85)
        first = first._replace(thigh=(lift, 8.0), knee=knee, arm=(30.0, 8.0), elbow=50.0)
        second = second._replace(thigh=(lift, 8.0), knee=knee, arm=(25.0, 10.0), elbow=60.0)
    if kind == "reach":
        first = first._replace(
            arm=(rng.uniform(60, 150), rng.uniform(0, 60)), elbow=rng.uniform(0, 60)
        )
    if kind == "jump":
        arm, leg = (
            (rng.normal(0, 10), rng.uniform(60, 160)),
            (rng.normal(0, 10), rng.uniform(10, 35)),
        )
        first = first._replace(arm=arm, thigh=leg)
        second = second._replace(arm=(arm[0], arm[1] + rng.normal(0, 12)), thigh=leg)
    return first, second


def _hanging(rng: np.random.Generator) -> Limbs:
    return Limbs(
        arm=(rng.normal(0, 8), rng.uniform(3, 18)),
        elbow=rng.uniform(5, 40),
        thigh=(rng.normal(0, 4), rng.uniform(0, 8)),
        knee=rng.uniform(0, 8),
    )


def _joints(
    left: Limbs, right: Limbs, yaw_deg: float, *, head: float
) -> dict[str, NDArray[np.float64]]:
    """Place the joints: to the left, up and forwards of the body, then turned to the camera."""
    at: dict[str, NDArray[np.float64]] = {"neck": np.array([0, _TORSO + 0.02, 0])}
    at["head"] = at["neck"] + [0, _NECK, 0.01]
    for name, offset in _FACE.items():
        at[name] = at["head"] + head * np.array(offset) * [_HEAD[0], 0.075, _HEAD[1]]
    for side, limbs, sign in (("left", left, 1), ("right", right, -1)):
        hip = np.array([sign * _HIP, 0.0, 0.0])
        shoulder = np.array([sign * _SHOULDER, _TORSO, 0.0])
        at[f"{side}_hip"], at[f"{side}_shoulder"] = hip, shoulder
        forwards, outwards = limbs.arm
        elbow = shoulder + _UPPER_ARM * _direction(forwards, outwards, sign)
        at[f"{side}_elbow"] = elbow
        at[f"{side}_wrist"] = elbow + _FOREARM * _direction(forwards + limbs.elbow, outwards, sign)
        forwards, outwards = limbs.thigh
        knee = hip + _THIGH * _direction(forwards, outwards, sign)
        at[f"{side}_knee"] = knee
        at[f"{side}_ankle"] = knee + _SHIN * _direction(forwards - limbs.knee, outwards, sign)
    return {name: _seen(point, np.deg2rad(yaw_deg)) for name, point in at.items()}


def _direction(forwards_deg: float, outwards_deg: float, sign: int) -> NDArray[np.float64]:
    """Return a limb's direction, which hangs straight down at zero: to the left, up, forwards."""
    forwards, outwards = np.deg2rad([forwards_deg, outwards_deg])
    down = np.cos(forwards) * np.cos(outwards)
    return np.array([sign * np.sin(outwards), -down, np.sin(forwards) * np.cos(outwards)])


def _seen(point: NDArray[np.float64], yaw: float) -> NDArray[np.float64]:
    """Turn (left, up, forwards) into (x, y, depth); a person's left is on the right of an image."""
    left, up, forwards = point
    x = left * np.cos(yaw) + forwards * np.sin(yaw)
    return np.array([x, -up, forwards * np.cos(yaw) - left * np.sin(yaw)])
