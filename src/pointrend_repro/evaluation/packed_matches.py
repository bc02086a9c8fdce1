"""The overlaps of predictions and objects of Cityscapes, in about 30 bytes per prediction.

The official evaluator needs a dictionary for each object, each prediction and each pair of them:
gigabytes for many predictions. But it reads one image and class at a time, so dictionaries are made
here only for those, while they are being read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_Found = dict[str, Any]
_Ints = NDArray[np.int64]

# As from the official `assignGt2Preds`: "groundTruth" and "prediction" -> class -> entries.
Matches = Mapping[str, Mapping[str, list[_Found]]]


class _Packed(NamedTuple):
    """One class in one image: G objects, P predictions, and the M pairs that share pixels.

    Attributes:
        objects: id and pixels of each object, (G, 2).
        scores: of predictions, (P,).
        pixels: each prediction's pixels, and those of them in void, (P, 2).
        pairs: prediction, object and shared pixels of each pair, (M, 3).
    """

    objects: _Ints
    scores: NDArray[np.float64]
    pixels: _Ints
    pairs: _Ints


class PackedMatches(Mapping[str, Matches]):
    """Matches by image, in the official form while they are being read."""

    def __init__(self) -> None:
        self._images: dict[str, dict[str, _Packed]] = {}

    def add(self, image: str, matches: Matches) -> None:
        """Add an image's matches."""
        self._images[image] = {
            name: _pack(objects, matches["prediction"][name])
            for name, objects in matches["groundTruth"].items()
            if objects or matches["prediction"][name]
        }

    def __getitem__(self, image: str) -> Matches:
        packed = self._images[image]
        return {
            "groundTruth": _OnDemand(packed, _objects),
            "prediction": _OnDemand(packed, _predictions),
        }

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)


class _OnDemand(dict[str, list[_Found]]):
    """Classes of an image, each unpacked on demand."""

    def __init__(
        self, packed: dict[str, _Packed], unpack: Callable[[_Packed], list[_Found]]
    ) -> None:
        super().__init__()
        self._packed, self._unpack = packed, unpack

    def __missing__(self, name: str) -> list[_Found]:
        packed = self._packed.get(name)
        return [] if packed is None else self._unpack(packed)


def _pack(objects: list[_Found], predictions: list[_Found]) -> _Packed:
    places = {item["instID"]: place for place, item in enumerate(objects)}
    pairs = [
        (number, places[item["instID"]], item["intersection"])
        for number, prediction in enumerate(predictions)
        for item in prediction["matchedGt"]
    ]
    return _Packed(
        objects=_table([(item["instID"], item["pixelCount"]) for item in objects], 2),
        scores=np.array([found["confidence"] for found in predictions], dtype=np.float64),
        pixels=_table([(p["pixelCount"], p["voidIntersection"]) for p in predictions], 2),
        pairs=_table(pairs, 3),
    )


def _table(rows: Sequence[tuple[int, ...]], columns: int) -> _Ints:
    return np.array(rows, dtype=np.int64).reshape(-1, columns)


def _objects(packed: _Packed) -> list[_Found]:
    found = [_object(row) | {"matchedPred": []} for row in packed.objects.tolist()]
    for number, place, shared in packed.pairs.tolist():
        prediction = _prediction(packed, number)
        found[place]["matchedPred"].append(prediction | {"intersection": shared})
    return found


def _predictions(packed: _Packed) -> list[_Found]:
    objects = [_object(row) for row in packed.objects.tolist()]
    found = [
        {"confidence": score, "pixelCount": pixels, "voidIntersection": void, "matchedGt": []}
        for score, (pixels, void) in zip(
            packed.scores.tolist(), packed.pixels.tolist(), strict=True
        )
    ]
    for number, place, shared in packed.pairs.tolist():
        found[number]["matchedGt"].append(objects[place] | {"intersection": shared})
    return found


def _object(row: list[int]) -> _Found:
    # Distances are unknown, so every object is near enough.
    return {"instID": row[0], "pixelCount": row[1], "medDist": -1, "distConf": 0.0}


def _prediction(packed: _Packed, number: int) -> _Found:
    pixels, void = packed.pixels[number].tolist()
    score = float(packed.scores[number])
    return {"confidence": score, "pixelCount": pixels, "voidIntersection": void}
