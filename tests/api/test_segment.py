"""Many pictures: which are meant, what is written of each, and what a second call does again."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from typer.testing import CliRunner

import pointrend_repro as pr
from pointrend_repro.api.loading import Model
from pointrend_repro.api.segment.gallery import short_names
from pointrend_repro.api.segment.pictures import find_pictures
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.published import published_weights
from pointrend_repro.cli import app
from pointrend_repro.data.fetch.catalogue import Catalogue, load_catalogue
from segmenting import segment, write_model, write_model_with_own_head, write_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = write_photos(tmp_path / "photos", "b.png", "a.JPG", "inside/a.jpg")
    (folder / "notes.txt").write_text("no picture")
    (folder / "._a.jpg").write_text("macOS leaves these")
    return folder


# --- which pictures --------------------------------------------------------------------------


def test_folders_files_and_patterns(photos: Path) -> None:
    def found(*places: str) -> dict[str, str]:
        return {
            p.name: str(p.path.relative_to(photos))
            for p in find_pictures(places, photos / "out").pictures
        }

    assert found(str(photos)) == {"a": "a.JPG", "b": "b.png"}
    assert found(str(photos / "b.png"), str(photos)) == {"b": "b.png", "a": "a.JPG"}
    everywhere = found(str(photos / "**/*"))
    assert everywhere == {"a": "a.JPG", "b": "b.png", "a_2": "inside/a.jpg"}
    assert list(found(str(photos / "notes.txt"))) == ["notes"]  # named, so it is meant


def test_a_pattern_below_the_current_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    found = find_pictures(["photos/*.png"], Path("out")).pictures
    assert [str(p.path) for p in found] == ["photos/b.png"]


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nowhere.jpg", "nowhere.jpg: there is no such picture or folder"),
        ("empty", "empty: this folder has no pictures"),
        ("*.tiff", "*.tiff: this pattern fits no picture"),
    ],
)
def test_places_without_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, told: str
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as refused:
        find_pictures([place], Path("out"))
    assert str(refused.value).startswith(told)


# --- what is written -------------------------------------------------------------------------


def test_results_are_what_the_model_finds(photos: Path, tmp_path: Path) -> None:
    weights, out = write_model(tmp_path, "pointrend"), tmp_path / "out"
    code, told = segment(photos, "--weights", weights, "--output", out)
    assert code == 0
    assert "2 pictures" in told
    assert str(out / "index.html") in told
    results = json.loads((out / "results.json").read_text())
    images = json.loads((out / "images.json").read_text())
    assert images["categories"] == [{"id": 4, "name": "leaf"}, {"id": 9, "name": "stone"}]
    assert [Path(i["file_name"]).name for i in images["images"]] == ["a.JPG", "b.png"]
    model = pr.load_model(weights)
    for image in images["images"]:
        own = [r for r in results if r["image_id"] == image["id"]]
        found = model.predict(np.array(Image.open(image["file_name"])))
        count = int((found.scores >= 0.1).sum())
        assert count > 0
        assert [r["score"] for r in own] == pytest.approx(found.scores[:count].tolist())
        assert [r["category_name"] for r in own] == [
            model.class_names[label] for label in found.labels[:count]
        ]
        for result, mask in zip(own, found.masks, strict=False):
            np.testing.assert_array_equal(coco_mask.decode(result["segmentation"]), mask)
    for name in ("a", "b"):
        assert Image.open(out / "overlays" / f"{name}.jpg").size == (60, 40)


def test_label_maps_hold_category_ids(photos: Path, tmp_path: Path) -> None:
    weights, out = write_model(tmp_path, "deeplabv3"), tmp_path / "out"
    assert segment(photos / "b.png", "--weights", weights, "--output", out)[0] == 0
    labels = np.array(Image.open(out / "labels/b.png"))
    assert set(np.unique(labels)) <= {4, 9}
    (image,) = json.loads((out / "images.json").read_text())["images"]
    shares = {each["category_id"]: each["share"] for each in image["classes"]}
    assert shares == pytest.approx({k: (labels == k).mean() for k in np.unique(labels).tolist()})
    assert not (out / "results.json").exists()


def test_a_second_model_beside_the_first(photos: Path, tmp_path: Path) -> None:
    one, two = write_model(tmp_path, "pointrend"), write_model(tmp_path, "4conv")
    out = tmp_path / "out"
    segment(photos, "--weights", one, "--beside-weights", two, "--output", out)
    alone = tmp_path / "alone"
    segment(photos, "--weights", two, "--output", alone)
    for name in ("results.json", "images.json", "overlays/a.jpg"):
        assert (out / "beside" / name).read_bytes() == (alone / name).read_bytes()
    page = (out / "index.html").read_text()
    assert "beside/overlays/a.jpg" in page


def test_models_with_heads_of_ones_own(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    (tmp_path / "heads_at_hand.py").write_text(
        "from pointrend_repro.modeling.mask_heads.conv4 import Conv4Head\n"
        "from pointrend_repro.settings.heads import Conv4HeadSettings\n\n\n"
        "class Head(Conv4Head):\n"
        "    def __init__(self, *, in_channels, trunk_channels, num_classes, channels):\n"
        "        settings = Conv4HeadSettings(kind='4conv', channels=channels)\n"
        "        super().__init__(in_channels, num_classes, settings)\n"
    )
    head = "heads_at_hand:Head"
    weights, out = write_model_with_own_head(tmp_path, head), tmp_path / "out"
    words = (photos, "--weights", weights, "--beside-weights", weights, "--output", out)
    with pytest.raises(UserError, match="name it yourself by --head, or head= in Python, if you"):
        segment(*words)
    code, told = segment(*words, "--head", head, "--beside-head", head)
    assert code == 0, told
    assert (out / "beside/results.json").read_bytes() == (out / "results.json").read_bytes()


# --- what is not there -----------------------------------------------------------------------


def test_a_broken_picture_is_left_out_and_listed(photos: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    weights, out = write_model(tmp_path, "4conv"), tmp_path / "out"
    code, told = segment(photos, "--weights", weights, "--output", out)
    assert code == 1
    assert f"not read: {photos / 'broken.jpg'}: " in told
    assert [p["id"] for p in json.loads((out / "images.json").read_text())["images"]] == [1, 2]
    assert "1 could not be read" in (out / "index.html").read_text()


def test_only_broken_pictures(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"")
    weights = write_model(tmp_path, "4conv")
    with pytest.raises(UserError, match=r"none of 1 pictures can be read; .*broken\.jpg: "):
        segment(tmp_path / "broken.jpg", "--weights", weights, "--output", tmp_path / "out")


def test_finished_pictures_are_kept_while_nothing_changed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, out = write_model(tmp_path, "4conv"), tmp_path / "out"
    words = (photos, "--weights", weights, "--output", out)
    segment(*words)
    before = (out / "results.json").read_bytes()
    asked = []
    predict = Model.predict
    monkeypatch.setattr(Model, "predict", lambda self, x: asked.append(1) or predict(self, x))
    assert "(2 were finished before)" in segment(*words)[1]
    assert asked == []
    assert (out / "results.json").read_bytes() == before
    (out / "objects/a.json").write_text("{")  # cut short by a full disk, say
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(photos / "b.png")
    segment(*words)
    assert len(asked) == 2
    segment(*words, "--test", "detections_per_image=1")
    assert len(asked) == 4


# --- whose weights ---------------------------------------------------------------------------


def catalogue(**models: str) -> Catalogue:
    def entry(name: str, model: str) -> dict[str, object]:
        file = {"urls": [f"https://example.org/{name}.pkl"], "max_bytes": 9}
        file |= {"sha256": "pin at first download", "hash_source": "none"}
        return {"title": name, "into": name, "terms": "free", "model": model, "files": [file]}

    downloads = {name: entry(name, model) for name, model in models.items()}
    return Catalogue.model_validate({"downloads": downloads})


def test_published_weights_of_the_longest_training_that_is_there(tmp_path: Path) -> None:
    published = catalogue(short="pointrend", long="pointrend", other="else")
    with pytest.raises(UserError, match="`pointrend-repro data fetch long` fetches them"):
        published_weights("pointrend", published, tmp_path)
    for name in ("short", "long"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.pkl").touch()
        assert published_weights("pointrend", published, tmp_path).stem == name
    with pytest.raises(UserError, match="`data fetch` knows no weights of this model"):
        published_weights("sharpmask", published, tmp_path)


def test_every_published_checkpoint_is_of_a_known_model() -> None:
    downloads = load_catalogue().downloads.values()
    models = {each.model for each in downloads if each.group == "checkpoints"}
    assert "pointrend_r50_fpn_coco" in models
    assert models <= set(pr.list_models())


def test_a_name_without_weights_says_what_to_fetch(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data fetch pointrend_r50_fpn_3x_coco` fetches them"):
        segment(photos, "--output", tmp_path / "out", "--data-dir", tmp_path)
    with pytest.raises(UserError, match=r"x.pkl: does not say which model it is of; name it by"):
        segment(photos, "--output", tmp_path / "out", "--weights", tmp_path / "x.pkl")
    with pytest.raises(UserError, match="there is no model 'pointrent'"):
        segment(photos, "--output", tmp_path / "out", "--model", "pointrent")


def test_demo_takes_a_name_alone_too(photos: Path, tmp_path: Path) -> None:
    words = ["demo", str(photos / "b.png"), "--output", str(tmp_path / "o.png")]
    done = CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path)])
    assert "data fetch pointrend_r50_fpn_3x_coco` fetches them" in str(done.exception)


# --- in Python -------------------------------------------------------------------------------


def test_predict_many_goes_on_after_a_broken_picture(photos: Path, tmp_path: Path) -> None:
    model = pr.load_model(write_model(tmp_path, "4conv"))
    broken, good = photos / "notes.txt", photos / "b.png"
    with pytest.raises(UserError, match=r"notes\.txt"):
        list(model.predict_many([broken, good]))
    told = []
    found = dict(model.predict_many([broken, good], on_error=lambda path, _: told.append(path)))
    assert told == [broken]
    np.testing.assert_array_equal(
        found[good].boxes, model.predict(np.array(Image.open(good))).boxes
    )


@pytest.mark.parametrize("kind", [str, Path])
def test_predict_many_wants_several(photos: Path, tmp_path: Path, kind: type) -> None:
    model = pr.load_model(write_model(tmp_path, "4conv"))
    with pytest.raises(UserError, match=r"^pictures: must be a list of files; put the one file in"):
        list(model.predict_many(kind(photos / "b.png")))


def test_pictures_of_16_bits_are_refused_in_python_and_by_demo(tmp_path: Path) -> None:
    path, weights = tmp_path / "deep.png", write_model(tmp_path, "4conv")
    cv2.imwrite(str(path), np.full((20, 30, 3), 4000, np.uint16))
    refused = pytest.raises(UserError, match=r"deep\.png: has more than 8 bits per channel")
    with refused:
        list(pr.load_model(weights).predict_many([path]))
    words = ["demo", str(path), "--output", str(tmp_path / "o.png"), "--weights", str(weights)]
    done = CliRunner().invoke(app, words)
    with refused:
        raise done.exception or AssertionError


def test_names_without_what_two_models_share() -> None:
    first, second = (f"results/mini/coco/{v}/trial0/model.safetensors" for v in ("a", "b"))
    assert short_names([first]) == ["a/trial0/model.safetensors"]
    assert short_names([first, second]) == ["a", "b"]
    assert short_names([first, first]) == ["a/trial0/model.safetensors"] * 2
    assert short_names(["pointrend_r50_fpn_coco", "mine.safetensors"]) == [
        "pointrend_r50_fpn_coco",
        "mine.safetensors",
    ]
