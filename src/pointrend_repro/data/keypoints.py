"""The keypoints of a category in COCO's format.

It names them (`keypoints`), and the lines between them (`skeleton`). Two keys are this project's,
for keypoints other than COCO's 17: `sigmas`, by which predictions are scored, and `flip_pairs`,
which change places in a mirrored image. `keypoint_checks` checks the keypoints of objects.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.json_text import is_finite, shown

COCO_PERSON = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)

# pycocotools 2.0, `Params.setKpParams`: how far annotators' points of a person scatter, as a share
# of the square root of the person's area. The division makes them equal to the last bit.
COCO_SIGMAS = tuple(
    tenths / 10.0
    for tenths in (
        *(0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62),
        *(1.07, 1.07, 0.87, 0.87, 0.89, 0.89),
    )
)

_OTHER_SIDE = {"left": "right", "Left": "Right", "LEFT": "RIGHT"}

Pair = tuple[int, int]


@dataclass(frozen=True)
class KeypointDefinition:
    """The K keypoints of a category; indices count from 0.

    Attributes:
        names: (K,), in the order of the annotations.
        skeleton: pairs of keypoints between which a line is drawn.
        sigmas: of the object keypoint similarity (OKS), (K,); None: the file does not say.
        flip_pairs: pairs of keypoints that change places in a mirrored image, left with right.
    """

    names: tuple[str, ...]
    skeleton: tuple[Pair, ...]
    sigmas: tuple[float, ...] | None
    flip_pairs: tuple[Pair, ...]

    @property
    def mirrored(self) -> tuple[int, ...]:
        """For each keypoint of a mirrored image, which one of the original it is, (K,)."""
        order = list(range(len(self.names)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)


# As in COCO's person_keypoints_val2017.json.
COCO_KEYPOINTS = KeypointDefinition(
    names=COCO_PERSON,
    skeleton=(
        *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7)),
        *((6, 8), (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
    ),
    sigmas=COCO_SIGMAS,
    flip_pairs=tuple((k, k + 1) for k in range(1, 17, 2)),
)


def read_definition(category: dict[str, Any]) -> KeypointDefinition | None:
    """Return the keypoints of an element of a file's `categories`; None if it has none.

    Raises:
        ValueError: they are faulty; the message says how to correct them.
    """
    names = category.get("keypoints")
    if names is None or names == []:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"keypoints is {shown(names)}; write a list of names")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"keypoint {shown(twice[0])} appears twice; give each its own name")
    return KeypointDefinition(
        names=tuple(names),
        skeleton=tuple(_pairs(category, "skeleton", names)),
        sigmas=_sigmas(category, names),
        flip_pairs=tuple(_flip_pairs(category, names)),
    )


def _pairs(category: dict[str, Any], key: str, names: list[str]) -> Iterator[Pair]:
    """Yield pairs of keypoints, which the file gives by name or, as COCO, by number from 1."""
    pairs = category.get(key) or []
    if not isinstance(pairs, list):
        raise ValueError(f"{key} is {shown(pairs)}; write a list of pairs of keypoints")
    numbers = {name: index for index, name in enumerate(names)}
    numbers_or_names: dict[Any, int] = numbers | {k: k - 1 for k in range(1, len(names) + 1)}
    for pair in pairs:
        known = isinstance(pair, list) and all(
            type(end) in (int, str) and end in numbers_or_names for end in pair
        )
        if not known or len(pair) != 2 or pair[0] == pair[1]:
            raise ValueError(
                f"{key} has {shown(pair)}; write pairs of keypoints, by name or by number from 1 "
                f"to {len(names)}"
            )
        yield numbers_or_names[pair[0]], numbers_or_names[pair[1]]


def _sigmas(category: dict[str, Any], names: list[str]) -> tuple[float, ...] | None:
    sigmas = category.get("sigmas")
    if sigmas is None:
        return COCO_SIGMAS if tuple(names) == COCO_PERSON else None
    if not isinstance(sigmas, list) or not all(is_finite(s) and s > 0 for s in sigmas):
        raise ValueError(f"sigmas is {shown(sigmas)}; write a list of numbers above 0")
    if len(sigmas) != len(names):
        raise ValueError(f"has {len(sigmas)} sigmas for {len(names)} keypoints; write one for each")
    return tuple(float(sigma) for sigma in sigmas)


def _flip_pairs(category: dict[str, Any], names: list[str]) -> list[Pair]:
    if "flip_pairs" not in category:
        return list(_pairs_by_name(names))
    pairs = list(_pairs(category, "flip_pairs", names))
    ends = [end for pair in pairs for end in pair]
    if len(set(ends)) < len(ends):
        raise ValueError("flip_pairs has a keypoint in two pairs; write each in one at most")
    return pairs


def _pairs_by_name(names: list[str]) -> Iterator[Pair]:
    """Yield the keypoints whose names differ in left and right only."""
    partners = set()
    for index, name in enumerate(names):
        for left, right in _OTHER_SIDE.items():
            if left not in name:
                continue
            other = name.replace(left, right)
            if other not in names:
                raise ValueError(
                    f"keypoint {shown(name)} has no {shown(other)}; write the pairs that change "
                    'places in a mirrored image, as "flip_pairs": [["a", "b"], ...], or []'
                )
            partners.add(other)
            yield index, names.index(other)
    alone = [n for n in names if n not in partners and any(r in n for r in _OTHER_SIDE.values())]
    if alone:
        raise ValueError(
            f"keypoint {shown(alone[0])} has no left counterpart; write the pairs that change "
            'places in a mirrored image, as "flip_pairs": [["a", "b"], ...], or []'
        )


def shared_definition(categories: Iterable[Any]) -> KeypointDefinition | None:
    """Return the keypoints of a data set's categories, or None if there are none, or several.

    Args:
        categories: each with `keypoints`, a `KeypointDefinition` or None.
    """
    found = {each.keypoints for each in categories if each.keypoints is not None}
    return found.pop() if len(found) == 1 else None


def require_keypoints(categories: Iterable[Any], *, file: Path) -> KeypointDefinition:
    """Return the keypoints of a data set's categories, with sigmas.

    Args:
        categories: as for `shared_definition`, with `name`.
        file: theirs, for messages.

    Raises:
        UserError: there are none, they have no sigmas, or two categories have different ones.
    """
    having = [each for each in categories if each.keypoints is not None]
    if not having:
        raise UserError(
            f"{file}: no category has keypoints; give annotations whose category lists their "
            "names as 'keypoints', such as COCO's person_keypoints_train2017.json"
        )
    others = [each.name for each in having if each.keypoints != having[0].keypoints]
    if others:
        raise UserError(
            f"{file}: categories {shown(having[0].name)} and {shown(others[0])} have different "
            "keypoints; give both the same, or use a file for each"
        )
    definition: KeypointDefinition = having[0].keypoints
    if definition.sigmas is None:
        count = len(definition.names)
        raise UserError(
            f"{file}: category {shown(having[0].name)} has no sigmas, by which keypoints are "
            f'scored; write "sigmas": [0.05, ...] into it, a number for each of its {count} '
            "keypoints (docs/your_data.md)"
        )
    return definition
