"""Label images of Cityscapes, and the crops that semantic models train on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from cityscapesscripts.helpers.labels import labels, trainId2label
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.papers import load_paper
from pointrend_repro.config.reading import load_variant
from pointrend_repro.data import color
from pointrend_repro.data.color import jitter_colors
from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.data.semantic import (
    IGNORED,
    TRAIN_CLASSES,
    LabelledImage,
    ScaledLabels,
    choose_crop,
    crop_of_resized,
    label_ids,
    read_labelled_images,
    read_train_ids,
    scaled_labels,
    semantic_example,
)
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.settings.semantic import SemanticInputSettings

SIZE = GeneratedSettings(train_images=4, val_images=1, width_px=96, height_px=48, classes=8)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("streets") / "data"
    generate_cityscapes(root, SIZE)
    return root


def crops(short_edges_px: tuple[int, ...] = (48,), **changes: Any) -> SemanticInputSettings:
    values = {"crop_px": (32, 64), "train_short_edges_px": short_edges_px} | changes
    return SemanticInputSettings.model_validate(values)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- label images ----------------------------------------------------------------------------


def test_classes_are_cityscapes_train_ids() -> None:
    wanted = [trainId2label[k] for k in range(19)]
    assert [(c.id, c.name) for c in TRAIN_CLASSES] == [(x.id, x.name) for x in wanted]


def test_train_ids_are_those_of_the_official_tool(generated: Path) -> None:
    images = read_labelled_images(generated, "train").images
    assert len(images) == 4
    for record in images:
        official = record.labels.with_name(record.labels.name.replace("labelIds", "labelTrainIds"))
        np.testing.assert_array_equal(read_train_ids(record.labels), np.array(Image.open(official)))


def test_every_official_id_has_its_train_id(tmp_path: Path) -> None:
    known = [label for label in labels if label.id >= 0]
    path = tmp_path / "all_gtFine_labelIds.png"
    Image.fromarray(np.array([[x.id for x in known]], dtype=np.uint8)).save(path)
    found = read_train_ids(path)[0].tolist()
    assert found == [IGNORED if x.ignoreInEval else x.trainId for x in known]
    counted = np.array([k for k in found if k != IGNORED], dtype=np.uint8)
    assert label_ids(counted).tolist() == [x.id for x in known if not x.ignoreInEval]


def test_records_are_sorted_and_name_their_files(generated: Path) -> None:
    dataset = read_labelled_images(generated, "val")
    (record,) = dataset.images
    assert (record.width, record.height) == (96, 48)
    assert record.path.name == f"{record.id}_leftImg8bit.png"
    names = [r.id for r in read_labelled_images(generated, "train").images]
    assert names == sorted(names)


def remove_labels(root: Path) -> None:
    next(root.glob("gtFine/val/*/*_labelIds.png")).unlink()


def remove_all_labels(root: Path) -> None:
    for path in root.glob("gtFine/val/*/*"):
        path.unlink()


def shrink_labels(root: Path) -> None:
    Image.new("L", (10, 10)).save(next(root.glob("gtFine/val/*/*_labelIds.png")))


def remove_photograph(root: Path) -> None:
    next(root.glob("leftImg8bit/val/*/*.png")).unlink()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (remove_labels, r"_gtFine_labelIds\.png: no such file.*unpack all of gtFine_trainvaltest"),
        (remove_all_labels, r"gtFine.val: holds no .*labelIds\.png; unpack gtFine_trainvaltest"),
        (shrink_labels, r"labelIds\.png: is not 96x48 pixels as .*leftImg8bit\.png"),
        (remove_photograph, r"leftImg8bit.val: holds no .*; unpack leftImg8bit_trainvaltest"),
    ],
)
def test_what_is_missing_is_told_in_one_line(
    tmp_path: Path, damage: Callable[[Path], None], told: str
) -> None:
    generate_cityscapes(tmp_path / "data", SIZE.model_copy(update={"train_images": 0}))
    damage(tmp_path / "data")
    with pytest.raises(UserError, match=told) as caught:
        read_labelled_images(tmp_path / "data", "val")
    assert "\n" not in str(caught.value)


def test_labels_that_are_none_are_refused(tmp_path: Path, generated: Path) -> None:
    path = tmp_path / "colours.png"
    Image.fromarray(np.full((4, 4), 200, dtype=np.uint8)).save(path)
    with pytest.raises(UserError, match="200 is not a label id"):
        read_train_ids(path)


# --- crops -----------------------------------------------------------------------------------


@pytest.mark.parametrize("short_edge_px", [16, 24, 48, 96])
def test_crops_have_one_size_and_padding_does_not_count(
    generated: Path, short_edge_px: int
) -> None:
    """0.33x to 2x of a 48x96 image, in a crop of 32x64."""
    record = read_labelled_images(generated, "train").images[0]
    image, target = semantic_example(record, crops((short_edge_px,)), rng())
    assert (image.dtype, target.dtype) == (torch.uint8, torch.uint8)
    assert (image.shape, target.shape) == ((3, 32, 64), (32, 64))
    height, width = min(32, short_edge_px), min(64, 2 * short_edge_px)
    assert (target[height:] == IGNORED).all()
    assert (target[:, width:] == IGNORED).all()
    padding = image[:, height:].reshape(3, -1)
    assert (padding == torch.tensor([[124], [116], [104]])).all()
    assert (target[:height, :width] < 19).float().mean() > 0.5


def test_image_and_labels_stay_together(tmp_path: Path) -> None:
    """A picture whose colours are its labels, through scale, crop and flip."""
    ids = rng(3).choice([7, 8, 11, 23, 26], size=(6, 12)).astype(np.uint8)
    ids = ids.repeat(16, axis=0).repeat(16, axis=1)
    Image.fromarray(np.stack([8 * ids] * 3, axis=2)).save(tmp_path / "a.png")
    Image.fromarray(ids).save(tmp_path / "a_labels.png")
    record = LabelledImage("a", tmp_path / "a.png", tmp_path / "a_labels.png", 192, 96)
    seen = set()
    for seed in range(12):
        image, target = semantic_example(record, crops((48, 96, 160)), rng(seed))
        expected = torch.from_numpy(label_ids(np.minimum(target.numpy(), 18))) * 8
        # Along the borders of blocks the picture's colours are blended.
        agree = (image[0].int() - expected.int()).abs() <= 8
        assert agree[target != IGNORED].float().mean() > 0.7
        seen.add(image.numpy().tobytes())
    assert len(seen) == 12


def test_flips_are_mirror_images(generated: Path) -> None:
    record = read_labelled_images(generated, "train").images[1]
    full = crops(crop_px=(48, 96), flip_probability=0.0)
    image, target = semantic_example(record, full, rng())
    flipped = full.model_copy(update={"flip_probability": 1.0})
    mirror, mirror_target = semantic_example(record, flipped, rng())
    assert torch.equal(mirror, image.flip(2))
    assert torch.equal(mirror_target, target.flip(1))


def test_an_example_is_a_function_of_its_seed(generated: Path) -> None:
    record = read_labelled_images(generated, "train").images[0]
    options = crops((32, 48, 64), color_augmentation="ssd", crop_bootstrapping=0.75)
    one, other = (semantic_example(record, options, rng(5)) for _ in range(2))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])


def test_scales_of_the_paper() -> None:
    """Supplement, section 2: "scaling of 0.5x to 2.0x with a 32 pixel step"."""
    recipes = load_paper("pointrend").protocol["cityscapes"]
    for name in ("deeplabv3", "semantic_fpn"):
        scales = recipes[name].input.train_short_edges_px
        assert (scales[0], scales[-1]) == (0.5 * 1024, 2.0 * 1024)
        assert set(np.diff(scales)) == {32}


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(8, 40),
    width=st.integers(8, 60),
    scale=st.floats(0.5, 2.0),
    seed=st.integers(0, 1000),
)
def test_a_crop_is_cut_from_the_resized_image(
    height: int, width: int, scale: float, seed: int
) -> None:
    """Not computing the rest of the resized image changes nothing, but for rounding."""
    draw = rng(seed)
    image = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
    size = max(4, round(height * scale)), max(4, round(width * scale))
    y, x = int(draw.integers(size[0])), int(draw.integers(size[1]))
    crop_size = int(draw.integers(1, size[0] - y + 1)), int(draw.integers(1, size[1] - x + 1))
    whole = np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    found = crop_of_resized(Image.fromarray(image), size, corner=(y, x), crop_size=crop_size)
    expected = whole[y : y + crop_size[0], x : x + crop_size[1]]
    # Rows and columns are resized one after the other, and each is rounded.
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 2


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 50),
    width=st.integers(1, 60),
    scale=st.floats(0.3, 3.0),
    seed=st.integers(0, 1000),
)
def test_scaled_labels_are_pillows_nearest(
    height: int, width: int, scale: float, seed: int
) -> None:
    draw = rng(seed)
    train_ids = draw.integers(0, 256, (height, width), dtype=np.uint8)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    whole = np.array(Image.fromarray(train_ids).resize(size[::-1], Image.Resampling.NEAREST))
    y, x = int(draw.integers(size[0])), int(draw.integers(size[1]))
    found = scaled_labels(train_ids, size).crop((y, x), (9, 9))
    np.testing.assert_array_equal(found, whole[y : y + 9, x : x + 9])


def as_it_is(train_ids: np.ndarray) -> ScaledLabels:
    return scaled_labels(train_ids, train_ids.shape)


def one_class_but_for(rest: int) -> np.ndarray:
    """A 20x20 label map of class 0 with class 1 in a square of this side in a corner."""
    train_ids = np.zeros((20, 20), dtype=np.uint8)
    train_ids[:rest, :rest] = 1
    return train_ids


def test_crop_bootstrapping_avoids_crops_of_one_class() -> None:
    train_ids = one_class_but_for(14)
    shares: dict[float | None, list[float]] = {None: [], 0.75: []}
    for max_share, found in shares.items():
        for seed in range(200):
            y, x = choose_crop(as_it_is(train_ids), (8, 8), max_share, rng(seed))
            counts = np.bincount(train_ids[y : y + 8, x : x + 8].ravel(), minlength=2)
            found.append(counts.max() / 64)
    too_plain = {key: np.mean(np.array(found) >= 0.75) for key, found in shares.items()}
    # About 3 of 4 crops are too plain; that ten of ten are has a chance of 0.75 ** 10.
    assert too_plain[None] > 0.5
    assert too_plain[0.75] < 0.2


def test_crop_bootstrapping_gives_up_and_ignores_what_does_not_count() -> None:
    plain = np.zeros((20, 20), dtype=np.uint8)
    y, x = choose_crop(as_it_is(plain), (8, 8), 0.75, rng())  # ten tries, and the last one is taken
    assert 0 <= y <= 12
    assert 0 <= x <= 12
    void = np.full((20, 20), IGNORED, dtype=np.uint8)
    choose_crop(as_it_is(void), (8, 8), 0.75, rng())
    # Half of the labelled pixels are of each class; all others, which are many, do not count.
    void[:, :2], void[:, 2:4] = 0, 1
    tries = [choose_crop(as_it_is(void), (20, 18), 0.75, rng(seed)) for seed in range(50)]
    assert {x for _, x in tries} <= {0, 1}


def test_a_crop_larger_than_the_image_is_the_image() -> None:
    assert choose_crop(as_it_is(np.zeros((5, 7), np.uint8)), (8, 8), None, rng()) == (0, 0)


# --- colours ---------------------------------------------------------------------------------


def test_colors_change_within_limits() -> None:
    image = np.full((4, 4, 3), (120, 100, 80), dtype=np.uint8)
    changed = [jitter_colors(image, rng(seed)).astype(int) for seed in range(300)]
    assert all((one == one[0, 0]).all() for one in changed)  # no pixel moves
    pixels = np.array([one[0, 0] for one in changed])
    # All four are left out once in sixteen times.
    assert 5 < (pixels == (120, 100, 80)).all(axis=1).sum() < 45
    # The brightest: (120 + 32) * 1.5; the darkest: (80 - 32) * 0.5, or less by saturation.
    assert pixels.max() <= 228
    assert pixels.min() >= 0
    assert pixels.max() > 200
    assert pixels[:, 0].min() < 60
    greyness = pixels.max(axis=1) - pixels.min(axis=1)
    assert greyness.min() < 15 < 60 < greyness.max()


def test_colors_are_what_each_pixel_alone_becomes() -> None:
    """Tables of 256 values give what arithmetic on all of the pixels gives."""
    image = rng().integers(0, 256, (6, 7, 3), dtype=np.uint8)

    def pixel_by_pixel(kind: str, seed: int) -> np.ndarray:
        draw = rng(seed)
        if draw.random() < 0.5:
            return image
        if kind == "_brightness":
            changed = image + np.float32(draw.uniform(-32, 32))
        else:
            changed = image * np.float32(draw.uniform(0.5, 1.5))
        return np.clip(changed, 0, 255).astype(np.uint8)

    def in_hsv(kind: str, seed: int) -> np.ndarray:
        draw = rng(seed)
        if draw.random() < 0.5:
            return image
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        if kind == "_hue":
            hsv[:, :, 0] = (hsv[:, :, 0].astype(int) + draw.integers(-18, 19)) % 180
        else:
            scaled = hsv[:, :, 1] * np.float32(draw.uniform(0.5, 1.5))
            hsv[:, :, 1] = np.clip(scaled, 0, 255).astype(np.uint8)
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)

    for seed in range(20):
        for kind in ("_brightness", "_contrast"):
            found = getattr(color, kind)(image, rng(seed))
            np.testing.assert_array_equal(found, pixel_by_pixel(kind, seed))
        for kind in ("_saturation", "_hue"):
            found = getattr(color, kind)(image, rng(seed))
            np.testing.assert_array_equal(found, in_hsv(kind, seed))


def test_hues_turn_by_at_most_36_degrees() -> None:
    """Red stays between magenta-red and orange: 18 of OpenCV's 180 steps to either side."""
    image = np.full((2, 2, 3), (200, 40, 40), dtype=np.uint8)
    for seed in range(200):
        red, green, blue = jitter_colors(image, rng(seed))[0, 0].astype(int)
        assert red >= green
        assert red >= blue
        assert min(green, blue) <= 0.62 * red + 60


def test_deeplabs_recipe_leaves_colors_alone(generated: Path) -> None:
    record = read_labelled_images(generated, "train").images[0]
    full = crops(crop_px=(48, 96), flip_probability=0.0)
    image, _ = semantic_example(record, full, rng())
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), np.array(Image.open(record.path)))
    jittered = full.model_copy(update={"color_augmentation": "ssd"})
    others = [semantic_example(record, jittered, rng(seed))[0] for seed in range(8)]
    assert sum(not torch.equal(image, other) for other in others) >= 5


def test_recipes_of_the_two_models() -> None:
    """Supplement, section 2."""
    recipes = load_paper("pointrend").protocol["cityscapes"]
    deeplab, fpn = recipes["deeplabv3"], recipes["semantic_fpn"]
    assert (deeplab.input.crop_px, fpn.input.crop_px) == ((768, 768), (512, 1024))
    assert deeplab.input.color_augmentation is deeplab.input.crop_bootstrapping is None
    assert (fpn.input.color_augmentation, fpn.input.crop_bootstrapping) == ("ssd", 0.75)
    assert (deeplab.optimizer.images_per_batch, fpn.optimizer.images_per_batch) == (16, 32)
    assert (deeplab.optimizer.decoder_lr_factor, fpn.optimizer.decoder_lr_factor) == (10, 1)


def test_detectron2s_recipe_of_deeplabv3() -> None:
    """Its projects/DeepLab, Base-DeepLabV3-OS16-Semantic.yaml, commit 02b5c4e2."""
    recipe = load_paper("pointrend").protocol["cityscapes"]["deeplabv3_detectron2"]
    assert recipe.input.crop_px == (512, 1024)
    assert recipe.input.train_short_edges_px == (512, 768, 1024, 1280, 1536, 1792, 2048)
    optimizer = recipe.optimizer
    assert (optimizer.images_per_batch, optimizer.base_lr) == (16, 0.01)
    assert (optimizer.decoder_lr_factor, optimizer.warmup_start_lr) == (1, 1e-5)
    assert recipe.schedules["90k"].total_iters == 90_000
    decoders = [
        load_variant(name).model.decoder
        for name in ("deeplabv3_r103", "deeplabv3_pointrend_r103", "deeplabv3_r103_hard_pixels")
    ]
    assert [d.hard_pixel_fraction for d in decoders] == [None, None, 0.2]
    assert [d.image_pooling_px for d in decoders] == [None, None, (512, 1024)]
