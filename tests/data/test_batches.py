"""The order of training images is a function of the seed, wherever a training starts."""

import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limits import lowered
from pointrend_repro.base.errors import UserError
from pointrend_repro.data.batches import (
    Batch,
    MicroBatch,
    MicroBatches,
    batch_order,
    to_device,
    training_batches,
)
from pointrend_repro.data.coco import ImageRecord, read_coco
from pointrend_repro.data.examples import training_example
from pointrend_repro.data.structures import Target
from pointrend_repro.settings.schedule import InputSettings

SMALL = InputSettings(train_short_edges_px=(24, 32), max_long_edge_px=64, flip_probability=0.5)
ONE_STEP = MicroBatches(images_per_batch=2, images_per_step=2)


def batches(
    records: list[ImageRecord],
    *,
    first: int = 0,
    stop: int = 6,
    workers: int = 0,
    seed: int = 3,
    micro_batches: MicroBatches = ONE_STEP,
) -> Iterator[Batch]:
    return training_batches(
        records,
        partial(training_example, settings=SMALL),
        micro_batches=micro_batches,
        seed=seed,
        iterations=range(first, stop),
        workers=workers,
    )


@pytest.fixture
def records(coco_builder: Callable[..., Path]) -> list[ImageRecord]:
    root = coco_builder(train_images=5)
    dataset = read_coco(root / "train2017", root / "annotations/instances_train2017.json")
    return list(dataset.images)


def assert_equal(some: list[Batch], others: list[Batch]) -> None:
    assert len(some) == len(others) > 0
    for a, b in zip(some, others, strict=True):
        assert a.image_ids == b.image_ids
        assert_equal_micro_batches(a.micro_batches, b.micro_batches)


def assert_equal_micro_batches(some: list[MicroBatch], others: list[MicroBatch]) -> None:
    assert len(some) == len(others) > 0
    for a, b in zip(some, others, strict=True):
        assert (a.weight, a.seed) == (b.weight, b.seed)
        for x, y in zip(a.images, b.images, strict=True):
            assert torch.equal(x, y)
        for x, y in zip(a.targets, b.targets, strict=True):
            assert torch.equal(x.boxes, y.boxes)
            assert torch.equal(x.labels, y.labels)
            assert torch.equal(x.masks, y.masks)


def images_of(batch: Batch) -> list[torch.Tensor]:
    return [image for micro_batch in batch.micro_batches for image in micro_batch.images]


@settings(max_examples=50, deadline=None)
@given(
    wide=st.lists(st.booleans(), min_size=1, max_size=15),
    images_per_batch=st.integers(1, 8),
    images_per_step=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_steps_hold_one_shape_and_all_images_are_shown_equally_often(
    wide: list[bool], images_per_batch: int, images_per_step: int, seed: int
) -> None:
    micro_batches = MicroBatches(images_per_batch, images_per_step)
    order = list(islice(batch_order(wide, micro_batches, seed=seed), 40))
    assert order == list(islice(batch_order(wide, micro_batches, seed=seed), 40))
    for batch in order:
        assert len(batch) == images_per_batch
        for places in micro_batches.places:
            assert len({wide[batch[place]] for place in places}) == 1
    # Within its group an image is once more shown only when all others have had their turn,
    # but for those few that waited for a micro-batch to fill.
    for kind in set(wide):
        group = [i for i, w in enumerate(wide) if w is kind]
        shown = [i for batch in order for i in batch if wide[i] is kind]
        for start in range(0, len(shown) - len(group) + 1, len(group)):
            assert sorted(shown[start : start + len(group)]) == group


def test_a_batch_mixes_shapes_at_least_as_the_gpus_of_detectron2_do() -> None:
    """74 % of COCO's images are wide; 8 GPUs all draw wide pairs in 0.74^8 = 9 % of batches.

    Here the steps come of one stream, in which pairs of wide images cannot follow each other so
    often as in eight.
    """
    wide = [i % 100 < 74 for i in range(5000)]
    order = list(islice(batch_order(wide, MicroBatches(16, 2), seed=0), 3000))
    all_wide = sum(all(wide[i] for i in batch) for batch in order) / len(order)
    assert all_wide < 0.74**8
    assert not any(not any(wide[i] for i in batch) for batch in order)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 12), seed=st.integers(0, 1000))
def test_epochs_are_shuffled_differently(count: int, seed: int) -> None:
    single = MicroBatches(1, 1)
    shown = list(islice(batch_order([True] * 12, single, seed=seed), 24))
    assert sorted(shown[:12]) == sorted(shown[12:]) == [[i] for i in range(12)]
    assert shown[:12] != shown[12:]
    assert shown[:count] != list(islice(batch_order([True] * 12, single, seed=seed + 1), 24))


def test_the_smaller_group_gets_its_share() -> None:
    wide = [True] * 9 + [False]
    shown = Counter(
        i for b in islice(batch_order(wide, MicroBatches(4, 2), seed=0), 200) for i in b
    )
    assert max(shown.values()) - min(shown.values()) <= 2


def test_a_training_continues_with_the_batches_that_it_would_have_had(
    records: list[ImageRecord],
) -> None:
    whole = list(batches(records))
    assert len(whole) == 6
    assert_equal(list(batches(records, first=4)), whole[4:])
    assert list(batches(records, first=6)) == []


def test_workers_change_nothing(records: list[ImageRecord]) -> None:
    assert_equal(list(batches(records, workers=2)), list(batches(records, workers=0)))


def test_seeds_change_the_order_and_the_augmentation(records: list[ImageRecord]) -> None:
    ids = [[b.image_ids for b in batches(records, seed=seed, stop=8)] for seed in (1, 2)]
    assert ids[0] != ids[1]
    one = batches(records[:1] * 2, stop=12)  # always the same image
    sizes = {tuple(image.shape) for batch in one for image in images_of(batch)}
    assert len(sizes) == 2


def test_batches_carry_the_ids_and_sizes_of_their_images(records: list[ImageRecord]) -> None:
    by_id = {record.id: record for record in records}
    for batch in batches(records):
        (micro_batch,) = batch.micro_batches
        assert len(micro_batch.images) == len(micro_batch.targets) == len(batch.image_ids) == 2
        for image, target, image_id in zip(
            micro_batch.images, micro_batch.targets, batch.image_ids, strict=True
        ):
            assert image.shape[1:] == target.masks.shape[1:]
            assert len(target.boxes) == len(by_id[image_id].annotations)


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_leaves_the_global_random_state_alone(
    records: list[ImageRecord], workers: int
) -> None:
    """Or a continued training, which starts loading once more, would draw other points."""
    before = torch.get_rng_state()
    list(batches(records, stop=2, workers=workers))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_told_in_one_line(records: list[ImageRecord], workers: int) -> None:
    records[2].path.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"000000000003\.jpg") as caught:
        list(batches(records, workers=workers))
    assert "\n" not in str(caught.value)


def two_tensors(record: ImageRecord, rng: object, *, late: int) -> tuple[torch.Tensor, ...]:
    """An example that takes long for one record; workers that are not forked must find it."""
    if record.id == late:
        time.sleep(2)
    return torch.zeros(1, dtype=torch.uint8), torch.zeros(1)


@pytest.fixture
def few_open_files() -> Iterator[None]:
    with lowered(resource.RLIMIT_NOFILE, 256):
        yield


@pytest.mark.usefixtures("few_open_files")
def test_batches_of_many_tensors_may_wait_for_a_late_one(records: list[ImageRecord]) -> None:
    """Each of their tensors is an open file."""
    micro_batches = MicroBatches(50, 50)
    late = next(batch_order([True] * 400, micro_batches, seed=0))[0]

    found = training_batches(
        [replace(records[0], id=number, width=9, height=5) for number in range(400)],
        partial(two_tensors, late=late),
        micro_batches=micro_batches,
        seed=0,
        iterations=range(8),
        workers=4,
    )
    assert len(list(found)) == 8


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(UserError, match="nothing to train on"):
        next(batches([]))


def test_moving_a_micro_batch_keeps_it(records: list[ImageRecord]) -> None:
    drawn = next(batches(records)).micro_batches
    moved = [to_device(micro_batch, torch.device("cpu")) for micro_batch in drawn]
    assert_equal_micro_batches(moved, drawn)


@settings(max_examples=60, deadline=None)
@given(images=st.integers(1, 20), in_step=st.integers(1, 20), processes=st.integers(1, 8))
def test_every_place_of_a_batch_is_in_one_step_of_one_process(
    images: int, in_step: int, processes: int
) -> None:
    shares = [MicroBatches(images, in_step, number, processes) for number in range(processes)]
    places = shares[0].places
    assert [place for own in places for place in own] == list(range(images))
    assert {len(own) for own in places[:-1]} <= {in_step}
    own = [share.own for share in shares]
    assert sorted(number for numbers in own for number in numbers) == list(range(len(places)))
    assert max(map(len, own)) - min(map(len, own)) <= 1


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_have_the_steps_of_one_alone(records: list[ImageRecord], workers: int) -> None:
    """The same images, augmented alike, with the same seeds and weights; and all know all ids."""
    whole = list(batches(records, micro_batches=MicroBatches(5, 2)))
    parts = [
        list(batches(records, micro_batches=MicroBatches(5, 2, number, 2), workers=workers))
        for number in (0, 1)
    ]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert batch.image_ids == first.image_ids == second.image_ids
        assert len(batch.image_ids) == 5
        assert [micro_batch.weight for micro_batch in batch.micro_batches] == [0.4, 0.4, 0.2]
        assert_equal_micro_batches(
            [first.micro_batches[0], second.micro_batches[0], first.micro_batches[1]],
            batch.micro_batches,
        )


def test_no_two_steps_draw_alike(records: list[ImageRecord]) -> None:
    seeds = [
        micro_batch.seed
        for seed in (0, 1)
        for batch in batches(records, seed=seed, micro_batches=MicroBatches(4, 1))
        for micro_batch in batch.micro_batches
    ]
    assert len(set(seeds)) == len(seeds) == 48


def test_patches_of_wide_and_tall_images_share_a_batch(records: list[ImageRecord]) -> None:
    """Alone by shape, as images that are padded are, a batch of DeepMask would never have both."""
    both = [replace(r, id=k, width=40 + 30 * (k % 2), height=50) for k, r in enumerate(records * 8)]
    target = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 8, 8) > 0)

    def shapes(by_shape: bool) -> list[int]:
        found = training_batches(
            both,
            lambda record, rng: (torch.zeros(3, 8, 8, dtype=torch.uint8), target),
            micro_batches=MicroBatches(8, 8),
            seed=0,
            iterations=range(5),
            workers=0,
            by_shape=by_shape,
        )
        return [len({int(key) % 2 for key in batch.image_ids}) for batch in found]

    assert shapes(by_shape=True) == [1] * 5
    assert shapes(by_shape=False) == [2] * 5
