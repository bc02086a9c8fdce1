"""A second `segment` into a gallery: it grows, and what an earlier one found is not lost."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pointrend_repro.api.loading import Model
from pointrend_repro.base.errors import UserError
from segmenting import segment, write_model, write_photos


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), "4conv")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which `one` and `two` hold other pictures of the same name."""
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path, "one/img.png", "two/img.png", "two/b.jpg")
    with Image.open("two/img.png") as image:
        image.rotate(180).save("two/img.png")
    return tmp_path


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    predict = Model.predict
    monkeypatch.setattr(Model, "predict", lambda self, x: calls.append(1) or predict(self, x))
    return calls


def shown(output: str | Path) -> dict[str, str]:
    """The pictures of a gallery by the names of their files, in its order."""
    images = json.loads((Path(output) / "images.json").read_text())["images"]
    assert [image["id"] for image in images] == list(range(1, len(images) + 1))
    return {image["name"]: image["file_name"] for image in images}


def objects(output: str, file_name: str) -> list[Any]:
    results = json.loads(Path(output, "results.json").read_text())
    found = [entry for entry in results if entry["file_name"] == file_name]
    return [{k: v for k, v in entry.items() if k != "image_id"} for entry in found]


def test_folder_after_folder_is_one_gallery(
    here: Path, weights: Path, predicted: list[int]
) -> None:
    words = ("--weights", weights, "--output", "out")
    segment("one", *words)
    first = objects("out", "one/img.png")
    told = segment("two", *words)[1]
    assert "\n3 pictures (1 were finished before)" in told
    assert shown("out") == {"img": "one/img.png", "b": "two/b.jpg", "img_2": "two/img.png"}
    assert objects("out", "one/img.png") == first
    segment("two", "--weights", weights, "--output", "alone")
    assert objects("out", "two/img.png") == objects("alone", "two/img.png") != first
    assert (here / "out/index.html").read_text().count('class="picture"') == 3
    del predicted[:]
    before = (here / "out/results.json").read_bytes()
    for places in (("two",), ("two", "one"), ("one/img.png",)):
        assert "3 pictures (3 were finished before)" in segment(*places, *words)[1]
        assert (here / "out/results.json").read_bytes() == before
    assert predicted == []


def test_results_of_unfinished_calls_are_not_lost(here: Path, weights: Path) -> None:
    words = ("--weights", weights, "--output", "out")
    segment("one", *words)
    # As if the first call had been killed before it wrote them.
    (here / "out/images.json").write_text('{"images": [], "categories": []}')
    segment("two/img.png", *words)
    assert sorted(shown("out").values()) == ["one/img.png", "two/img.png"]
    assert json.loads((here / "out/objects/img.json").read_text())["file_name"] == "one/img.png"


def test_galleries_of_before_grow_too(here: Path, weights: Path, predicted: list[int]) -> None:
    words = ("--weights", weights, "--output", "out")
    segment("one", *words)
    record = here / "out/objects/img.json"
    old = json.loads(record.read_text())
    record.write_text(json.dumps({k: old[k] for k in old if k not in ("source", "made_with")}))
    segment("two/img.png", *words)
    assert shown("out") == {"img": "one/img.png", "img_2": "two/img.png"}
    assert len(predicted) == 2
    assert json.loads(record.read_text()) == old


def test_pictures_that_are_gone_leave_the_gallery_until_they_are_back(
    here: Path, weights: Path, predicted: list[int]
) -> None:
    words = ("--weights", weights, "--output", "out")
    segment("one", *words)
    Path("one").rename("away")
    told = segment("two", *words)[1]
    assert "no longer shown, since they are gone: 1 picture" in told
    assert shown("out") == {"b": "two/b.jpg", "img_2": "two/img.png"}
    assert "no longer shown" not in segment("two", *words)[1]
    Path("away").rename("one")
    segment("two", *words)
    assert shown("out") == {"b": "two/b.jpg", "img_2": "two/img.png", "img": "one/img.png"}
    assert len(predicted) == 3


def test_a_picture_whose_record_is_damaged_stays_and_is_made_anew(
    here: Path, weights: Path, predicted: list[int]
) -> None:
    words = ("--weights", weights, "--output", "out")
    segment("one", *words)
    record = here / "out/objects/img.json"
    whole = record.read_bytes()
    record.write_bytes(whole[:20])
    segment("two/img.png", *words)
    assert shown("out") == {"img": "one/img.png", "img_2": "two/img.png"}
    assert record.read_bytes() == whole
    assert len(predicted) == 3


def test_a_changed_picture_of_an_earlier_call_is_made_anew(
    here: Path, weights: Path, predicted: list[int]
) -> None:
    words = ("--weights", weights, "--output", "out")
    segment("one", *words)
    Image.new("RGB", (50, 30)).save("one/img.png")
    segment("two", *words)
    assert len(predicted) == 4
    assert Image.open("out/overlays/img.jpg").size == (50, 30)


@pytest.mark.parametrize("kind", ["deeplabv3", "4conv"])
def test_other_models_and_settings_are_not_mixed(here: Path, weights: Path, kind: str) -> None:
    segment("one", "--weights", weights, "--output", "out")
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    other = ["--weights", write_model(here, kind), "--output", "out"]
    other += ["--test", "detections_per_image=1"] if kind == "4conv" else []
    told = (
        r"^out: holds a picture of other weights, settings or code \(one/img\.png\); name them, "
        r"too, to make them anew, or choose another --output$"
    )
    with pytest.raises(UserError, match=told):
        segment("two", *other)
    assert {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()} == before
    assert segment("one", "two", *other)[0] == 0
    assert len(shown("out")) == 3


def test_a_second_model_sees_the_earlier_pictures_too(
    here: Path, weights: Path, predicted: list[int]
) -> None:
    words = ("--weights", weights, "--output", "out")
    segment("one", *words)
    segment("two/img.png", *words, "--beside-weights", weights)
    assert len(predicted) == 4
    assert shown("out") == shown("out/beside") == {"img": "one/img.png", "img_2": "two/img.png"}


def test_file_names_lead_there_from_todays_folder(
    here: Path, weights: Path, predicted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = here / "out"
    words = ("--weights", weights, "--output", output)
    segment("one", *words)
    monkeypatch.chdir(here / "one")
    segment("img.png", *words)
    assert shown(output) == {"img": "img.png"}
    assert json.loads((output / "objects/img.json").read_text())["file_name"] == "img.png"
    monkeypatch.chdir(here / "two")
    segment("b.jpg", *words)
    assert shown(output) == {"img": str(here / "one/img.png"), "b": "b.jpg"}
    assert len(predicted) == 2
