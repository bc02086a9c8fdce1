"""Patches of a data set: what is positive, what counts, and that they follow from the generator."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import Annotation, ImageRecord
from pointrend_repro.data.patch_objects import ByCategory, has_learned_object, is_learned
from pointrend_repro.data.patch_places import canonical_place, object_px
from pointrend_repro.data.patch_sampling import (
    PatchSampling,
    draw_patch,
    make_patches,
    patch_sampling,
)
from pointrend_repro.settings.deepmask import DeepMaskModelSettings
from pointrend_repro.settings.deepmask_training import (
    DeepMaskInputSettings,
    DeepMaskTrainingSettings,
)
from pointrend_repro.settings.schedule import ScheduleSettings

WIDTH, HEIGHT = 120, 90


def square(x: float, y: float, side: float, label: int = 0, **values: Any) -> Annotation:
    outline = [x, y, x + side, y, x + side, y + side, x, y + side]
    values = {"segmentation": [outline], "is_crowd": False} | values
    return Annotation(label=label, box=(x, y, x + side, y + side), **values)


def training_settings(**values: Any) -> DeepMaskTrainingSettings:
    return DeepMaskTrainingSettings(
        model=DeepMaskModelSettings(patch_px=64, context_px=16),
        input=DeepMaskInputSettings(**values),
        schedule=ScheduleSettings(total_iters=1),
    )


def sampling_of(records: list[ImageRecord], **values: Any) -> PatchSampling:
    return patch_sampling(training_settings(**values), records)


@pytest.fixture
def record(tmp_path: Path) -> ImageRecord:
    return record_of(tmp_path, square(30, 20, 24), square(80, 60, 20, label=1))


def record_of(folder: Path, *annotations: Annotation, id: int = 1) -> ImageRecord:
    pixels = np.full((HEIGHT, WIDTH, 3), 10, dtype=np.uint8)
    for annotation in annotations:
        x0, y0, x1, y1 = (int(v) for v in annotation.box)
        pixels[max(y0, 0) : y1, max(x0, 0) : x1] = 250
    path = folder / f"{id}.png"
    Image.fromarray(pixels).save(path)
    return ImageRecord(id, path, WIDTH, HEIGHT, annotations)


def test_crowds_and_tiny_objects_are_not_learned(tmp_path: Path) -> None:
    assert is_learned(square(0, 0, 10))
    assert not is_learned(square(0, 0, 9.9))  # less than 100 pixels
    assert not is_learned(square(0, 0, 50, is_crowd=True))
    thin = [0.0, 0.0, 4.9, 0.0, 4.9, 60.0, 0.0, 60.0]
    assert not is_learned(Annotation(0, (0, 0, 4.9, 60), [thin], is_crowd=False))
    runs = {"size": [HEIGHT, WIDTH], "counts": [0, 99, HEIGHT * WIDTH - 99]}
    assert not is_learned(square(0, 0, 50, segmentation=runs))
    settings = training_settings()
    assert not has_learned_object(record_of(tmp_path, square(0, 0, 3)), settings)
    assert has_learned_object(record_of(tmp_path, square(0, 0, 3), square(0, 0, 30)), settings)


def test_half_of_the_patches_are_positive_and_only_they_have_masks(record: ImageRecord) -> None:
    sampling = sampling_of([record], patches_per_image=400)
    patches, target = make_patches(record, sampling, np.random.default_rng(3))
    assert patches.shape == (400, 3, 96, 96)
    assert patches.dtype == torch.uint8
    assert target.masks.shape == (400, 64, 64)
    assert 160 < target.is_positive.sum() < 240  # 4 standard deviations
    assert torch.equal(target.has_mask, target.is_positive)
    assert target.has_score.all()
    assert torch.equal(target.masks.any(dim=(1, 2)), target.is_positive)


@pytest.mark.parametrize("way", ["paper", "code"])
def test_the_second_stage_draws_masks_only(record: ImageRecord, way: str) -> None:
    sampling = replace(sampling_of([record], sampling=way), masks_only=True)
    rng = np.random.default_rng(0)
    assert all(draw_patch(record, sampling, rng).masked is not None for _ in range(40))


def test_a_mask_lies_on_its_object(record: ImageRecord) -> None:
    patches, target = make_patches(
        record, sampling_of([record], patches_per_image=60), np.random.default_rng(0)
    )
    inside = patches[:, 0, 16:-16, 16:-16] > 130
    for seen, mask, positive in zip(inside, target.masks, target.is_positive, strict=True):
        if positive:
            # The other object may be seen too, and edges are blurred by the enlargement.
            assert (seen & mask).sum() / mask.sum() > 0.9
            rows, columns = np.nonzero(mask.numpy())
            longest = max(np.ptp(rows), np.ptp(columns)) + 1
            assert object_px(64) / 1.25 < longest < object_px(64) * 1.25
            assert abs(rows.mean() - 31.5) < 17
            assert abs(columns.mean() - 31.5) < 17


def test_a_flip_mirrors_pixels_and_masks(record: ImageRecord) -> None:
    def made(probability: float) -> Any:
        sampling = sampling_of([record], flip_probability=probability, patches_per_image=8)
        return make_patches(record, sampling, np.random.default_rng(5))

    (plain, target), (mirrored, other) = made(0.0), made(1.0)
    assert torch.equal(plain.flip(3), mirrored)
    assert torch.equal(target.masks.flip(2), other.masks)


def test_the_same_generator_gives_the_same_patches(record: ImageRecord) -> None:
    for way in ("paper", "code"):
        sampling = sampling_of([record], sampling=way, patches_per_image=3)
        one, other, third = (
            make_patches(record, sampling, np.random.default_rng([7, 8, place]))
            for place in (9, 9, 10)
        )
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1].masks, other[1].masks)
        assert not torch.equal(one[0], third[0])


def test_the_codes_way_draws_masks_and_scores_apart(tmp_path: Path) -> None:
    many = [square(10 + 2 * i, 10, 20, label=0) for i in range(9)]
    records = [
        record_of(tmp_path, *many, id=1),
        record_of(tmp_path, square(40, 40, 30, label=5), id=2),
    ]
    sampling = sampling_of(records, sampling="code", flip_probability=0.0)
    rng = np.random.default_rng(1)
    drawn = [draw_patch(records[0], sampling, rng) for _ in range(800)]
    masks = [one for one in drawn if one.masked is not None]
    scores = [one for one in drawn if one.masked is None]
    assert 340 < len(masks) < 460
    assert not any(one.has_score for one in masks)
    assert all(one.has_score and one.record is records[0] for one in scores)
    # Categories at even odds, though one has nine objects and is the image's own.
    of_rare = [one for one in masks if one.masked is not None and one.masked.label == 5]
    assert len(masks) * 0.4 < len(of_rare) < len(masks) * 0.6
    assert all(one.record is records[1] for one in of_rare)
    positives = [one for one in scores if one.is_positive]
    assert len(scores) * 0.38 < len(positives) < len(scores) * 0.62
    for one in positives:  # not jittered, and the object's longer side in [29.6, 35.2) of 37 px
        assert one.place.y == 20
        longest = 20 / one.place.scale
        assert object_px(64) <= longest + 1e-9 <= object_px(64) * 2**0.25 + 1e-6


def test_an_object_at_the_border_is_centred_in_grey(tmp_path: Path) -> None:
    annotation = square(-0.0, 0, 20)
    record = record_of(tmp_path, annotation)
    sampling = sampling_of([record], jitter_px=0.0, jitter_octaves=0.0, flip_probability=0.0)
    rng = np.random.default_rng(0)
    while not (drawn := draw_patch(record, sampling, rng)).is_positive:
        pass
    assert drawn.place == canonical_place(annotation.box, 64)
    rng = np.random.default_rng(0)
    while not (made := make_patches(record, sampling, rng))[1].is_positive[0]:
        pass
    pixels = made[0][0, 0]
    assert (pixels[:20, :20] == 128).all()
    assert pixels[48, 48] == 250
    assert made[1].masks[0, 32, 32]


@pytest.mark.parametrize(("way", "counts"), [("paper", False), ("code", True)])
def test_a_negative_that_is_none_counts_only_in_the_codes_way(
    tmp_path: Path, way: str, counts: bool
) -> None:
    """Objects of each size at each place, and drawn at scales from 0.3 to 80 pixels per pixel."""
    everywhere = [
        square(x - side / 2, y - side / 2, side)
        for side in (37 * 2.0**octave for octave in range(-2, 5))
        for x in range(0, WIDTH, 8)
        for y in range(0, HEIGHT, 8)
    ]
    record = record_of(tmp_path, *everywhere)
    sampling = sampling_of([record], sampling=way, negative_px=200.0, negative_octaves=3.0)
    rng = np.random.default_rng(0)
    drawn = [draw_patch(record, sampling, rng) for _ in range(30)]
    negatives = [one for one in drawn if not one.is_positive]
    assert negatives
    assert all(one.has_score == counts and one.masked is None for one in negatives)


def test_objects_are_listed_by_category(tmp_path: Path) -> None:
    records = [
        record_of(tmp_path, square(0, 0, 20, label=3), square(0, 0, 2, label=4), id=1),
        record_of(tmp_path, square(0, 0, 30, label=3, is_crowd=True), id=2),
    ]
    found = ByCategory.of(records)
    assert [objects.tolist() for objects in found.objects] == [[[0, 0]]]
    record, annotation = found.draw(np.random.default_rng(0))
    assert record is records[0]
    assert annotation.label == 3


def test_an_image_of_another_size_is_refused(record: ImageRecord, tmp_path: Path) -> None:
    wrong = ImageRecord(1, record.path, WIDTH + 1, HEIGHT, record.annotations)
    with pytest.raises(UserError, match="image and annotation do not match"):
        make_patches(wrong, sampling_of([wrong]), np.random.default_rng(0))
