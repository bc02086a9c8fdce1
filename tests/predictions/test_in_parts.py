"""The same bytes with any number of workers and ranks, interrupted or not, of each kind."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_keypoint_predictions import keypoint_model
from test_mask_proposals import small as mask_proposal_model
from test_whole_masks import EVERYTHING, solo_settings

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model
from pointrend_repro.data.coco import Category, CocoDataset, read_coco
from pointrend_repro.data.images import read_image
from pointrend_repro.data.semantic import label_ids, read_labelled_images
from pointrend_repro.pipeline.steps.sharing import Cores, Sharing
from pointrend_repro.predictions import image_steps, in_parts
from pointrend_repro.predictions.ensembles import make_ensemble
from pointrend_repro.predictions.image_steps import Steps, Timing, predict_images
from pointrend_repro.predictions.in_parts import LIST, Work, write_in_parts
from pointrend_repro.predictions.instances import write_results
from pointrend_repro.predictions.label_maps import predict_image as label
from pointrend_repro.predictions.label_maps import write_label_maps
from pointrend_repro.predictions.mask_proposals import write_proposals
from pointrend_repro.predictions.proposals import read_proposals
from pointrend_repro.predictions.ranks import ONE_RANK, Ranks
from pointrend_repro.predictions.whole_masks import write_results as write_whole_masks
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings
from pointrend_repro.settings.ensemble import EnsembleSettings
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.semantic import SemanticInferenceSettings
from predicted import predict_dataset
from small_experiment import small_settings
from small_semantic_experiment import make_streets, small_semantic_settings

Write = Callable[[Path, Work], None]
Kinds = dict[str, Write]

FEW = InferenceSettings.model_validate({"output_resolution": 28, "test": {"score_threshold": 0.0}})
SIZE = InputSettings(test_short_edge_px=64, max_long_edge_px=96)


def with_weights(settings: Any, categories: list[tuple[int, str]]) -> SavedModel:
    torch.manual_seed(0)
    return SavedModel(build_model(settings, len(categories)).eval(), SIZE, categories)


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    categories = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
    (root / "annotations").mkdir()
    for split, count in (("train", 6), ("val", 5)):
        (root / f"{split}2017").mkdir()
        images, annotations = [], []
        for number in range(1, count + 1):
            width, height = 60 + 4 * number, 50
            name = f"{number}.png"
            pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(pixels).resize((width, height)).save(root / f"{split}2017" / name)
            images.append({"id": number, "file_name": name, "width": width, "height": height})
            box = [0.0, 0.0, 30.0, 30.0]
            outline = [0.0, 0.0, 30.0, 0.0, 30.0, 30.0, 0.0, 30.0]
            annotations.append(
                {"id": number, "image_id": number, "category_id": 3, "bbox": box, "area": 900.0}
                | {"segmentation": [outline], "iscrowd": 0}
            )
        document = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"annotations/instances_{split}2017.json").write_text(json.dumps(document))
    return root


def split_of(root: Path, split: str) -> CocoDataset:
    return read_coco(root / f"{split}2017", root / f"annotations/instances_{split}2017.json")


@pytest.fixture(scope="module")
def kinds(coco: Path, tmp_path_factory: pytest.TempPathFactory) -> Kinds:
    """What writes the predictions of each kind of model."""
    data, train = split_of(coco, "val"), split_of(coco, "train")
    classes = [(3, "cat"), (7, "dog")]
    detector = with_weights(small_settings().model, classes)
    boxes = tmp_path_factory.mktemp("given") / "given.json"
    write_results(detector, data, FEW, boxes)
    given_model = small_settings().model.model_copy(update={"given_proposals": True})
    given, proposals = with_weights(given_model, classes), read_proposals(boxes)
    people = CocoDataset((Category(1, "person"), Category(2, "dog")), data.images)
    other = with_weights(small_settings("4conv").model, classes)
    both = make_ensemble([lambda: detector, lambda: other], EnsembleSettings(variants=("b",)))
    twice = FEW.model_copy(update={"test": FEW.test.model_copy(update={"flip": True})})
    twelve = {"octaves": (-1, 0), "proposals": 12}
    masks = DeepMaskInferenceSettings.model_validate(twelve)
    best = DeepMaskInferenceSettings.model_validate(
        twelve | {"keep": "best_for_objects", "mask_threshold": 0.001}
    )
    apart = DeepMaskInferenceSettings.model_validate(twelve | {"test": {"nms_iou": 0.9}})
    sharp = mask_proposal_model()
    solo = with_weights(solo_settings(5).model, classes)
    streets = read_labelled_images(make_streets(tmp_path_factory.mktemp("s") / "data"), "train")
    labels = [(c.id, c.name) for c in streets.categories]
    semantic = with_weights(small_semantic_settings().model, labels)
    few = SemanticInferenceSettings()
    return {
        "instances": lambda path, work: write_results(detector, data, FEW, path, work=work),
        "training images": lambda path, work: write_results(detector, train, FEW, path, work=work),
        "mirrored, too": lambda path, work: write_results(detector, data, twice, path, work=work),
        "given boxes": lambda path, work: write_results(given, data, FEW, path, proposals, work),
        "keypoints": lambda path, work: write_results(
            keypoint_model(), people, FEW, path, work=work
        ),
        "ensemble": lambda path, work: write_results(both, data, FEW, path, work=work),
        "whole masks": lambda path, work: write_whole_masks(solo, data, EVERYTHING, path, work),
        "mask proposals": lambda path, work: write_proposals(sharp, data, masks, path, work),
        "suppressed": lambda path, work: write_proposals(sharp, data, apart, path, work),
        "best masks": lambda path, work: write_proposals(sharp, data, best, path, work),
        "label maps": lambda path, work: write_label_maps(semantic, streets, few, path, work),
    }


KINDS = (
    "instances",
    "training images",
    "mirrored, too",
    "given boxes",
    "keypoints",
    "ensemble",
    "whole masks",
    "mask proposals",
    "suppressed",
    "best masks",
    "label maps",
)


def content(path: Path) -> dict[str, bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


class StoppedError(Exception):
    pass


def stop_at(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let some images pass, and then fail."""
    left, of_model = iter(range(count)), Timing.of_model

    def stopping(self: Timing) -> Any:
        if next(left, None) is None:
            raise StoppedError
        return of_model(self)

    monkeypatch.setattr(Timing, "of_model", stopping)


@pytest.mark.parametrize("kind", KINDS)
def test_all_ways_give_the_same_bytes(
    kind: str, kinds: Kinds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, path = kinds[kind], tmp_path / "out" / "predictions.json"
    write(path, in_parts.ALONE)
    expected = content(path)
    assert sum(map(len, expected.values())) > 200
    monkeypatch.setattr(in_parts, "IMAGES", 2)
    for workers, world_size in ((1, 1), (2, 1), (0, 2), (0, 3), (1, 2)):
        again = tmp_path / f"{workers} {world_size}" / "predictions.json"
        for rank in reversed(range(world_size)):
            write(again, Work(workers=workers, ranks=Ranks(rank, world_size), made_from="x"))
        assert content(again) == expected, (workers, world_size)
        assert [file.name for file in again.parent.iterdir()] == [again.name]
    stopped, timing, whole = tmp_path / "stopped" / "predictions.json", Timing(), Timing()
    with monkeypatch.context() as context:
        stop_at(3, context)
        with pytest.raises(StoppedError):
            write(stopped, Work(made_from="x"))
    assert not stopped.exists()
    write(stopped, Work(workers=1, made_from="x", timing=timing))
    assert content(stopped) == expected
    write(path, Work(timing=whole))
    assert timing.images == whole.images - 2  # of the part that was finished


def test_results_are_those_of_one_image_after_another(kinds: Kinds, coco: Path, tmp_path: Path):
    detector = with_weights(small_settings().model, [(3, "cat"), (7, "dog")])
    kinds["instances"](tmp_path / "p.json", Work(workers=1))
    slow = predict_dataset(detector, split_of(coco, "val"), FEW)
    assert (tmp_path / "p.json").read_text() == json.dumps(slow) + "\n"


def test_label_images_are_those_of_pillow(tmp_path: Path) -> None:
    streets = read_labelled_images(make_streets(tmp_path / "data"), "val")
    model = small_semantic_settings().model
    saved = with_weights(model, [(c.id, c.name) for c in streets.categories])
    write_label_maps(saved, streets, SemanticInferenceSettings(), tmp_path / "labels")
    for image in streets.images:
        found = label(saved, read_image(image.path), SemanticInferenceSettings())
        Image.fromarray(label_ids(found.labels)).save(tmp_path / "one.png")
        written = tmp_path / "labels" / f"{image.id}_pred_labelIds.png"
        assert written.read_bytes() == (tmp_path / "one.png").read_bytes()


def identity(_: Any, value: Any) -> Any:
    return value


def as_list(value: Any) -> list[Any]:
    return [value]


def test_parts_of_another_result_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(number: int) -> int:
        assert number != 3
        return number

    file, steps = tmp_path / "list.json", Steps(read, identity, as_list)
    monkeypatch.setattr(in_parts, "IMAGES", 1)
    with pytest.raises(AssertionError):
        write_in_parts(file, [1, 2, 3], steps, LIST, Work(made_from="a"))
    assert len(list(tmp_path.glob("list.parts-a/*.json"))) == 2
    write_in_parts(file, [4, 5], steps, LIST, Work(made_from="b"))
    assert json.loads(file.read_text()) == [4, 5]
    assert [path.name for path in tmp_path.glob("list*")] == ["list.json"]


def test_parts_of_another_device_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record names one device, and threads and kinds of GPUs decide the last bits."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    found, threads = set(), torch.get_num_threads()
    for device, cores, gpu in [("cpu", 1, ""), ("cpu", 2, ""), ("cuda", 1, "A"), ("cuda", 1, "B")]:
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda gpu=gpu: gpu)
        works = [Sharing(Cores(cores), ONE_RANK, device).work([], "same") for _ in range(2)]
        found.add(works[0].made_from)
        assert works[0].made_from == works[1].made_from
    torch.set_num_threads(threads)
    assert len(found) == 4
    # Those that predict together take parts of one folder, on whatever GPUs they are.
    ranks = Ranks(1, 2, said_by_main=lambda _: "cuda (A)")
    assert Sharing(Cores(1), ranks, "cuda").work([], "same").made_from in found


def test_a_rank_whose_parts_are_gone_is_missed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(in_parts, "IMAGES", 1)
    work, steps = Work(ranks=Ranks(0, 2), made_from="a"), Steps(as_list, identity, as_list)
    with pytest.raises(UserError, match=r"00000001\.json: is gone"):
        write_in_parts(tmp_path / "list.json", [1, 2], steps, LIST, work)


def test_images_that_nothing_is_found_in(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(in_parts, "IMAGES", 1)
    steps = Steps(range, identity, list)
    for name, numbers, text in (("a", [0, 2, 0, 1, 0], "[0, 1, 0]\n"), ("b", [0, 0], "[]\n")):
        for made_from in (None, "x"):
            write_in_parts(tmp_path / name, numbers, steps, LIST, Work(made_from=made_from))
            assert (tmp_path / name).read_text() == text


# --- workers ----------------------------------------------------------------------------------


def test_tensors_cross_with_little_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(torch.arange, lambda _, seen: seen * 2, torch.sum)
    for little in (False, True):
        monkeypatch.setattr(image_steps, "_has_little_shared_memory", lambda little=little: little)
        timing = Timing()
        found = list(predict_images(steps, [3, 1, 5, 2, 4], workers=2, timing=timing))
        assert [int(each) for each in found] == [6, 0, 20, 2, 12]
        assert timing.images == 5
        assert 0 <= timing.waited <= 1


@pytest.mark.parametrize("left", ["p.parts-mine", "p.parts-others"])
def test_parts_that_cannot_be_removed_cost_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """As where a first copy of a job still writes there: nobody takes them for anything else."""
    (tmp_path / left).mkdir()
    rmdir = os.rmdir

    def failing(path: Any, **more: Any) -> None:
        if Path(path).name == left:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        rmdir(path, **more)

    monkeypatch.setattr(os, "rmdir", failing)
    with in_parts.parts_folder(tmp_path / "p.json", Work(made_from="mine")) as folder:
        (folder / "00000000.json").touch()
    assert list((tmp_path / "p.parts-mine").glob("*")) == []
