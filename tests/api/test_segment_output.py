"""Where `segment` writes: nothing of the user's is lost, and what it leaves is of one run."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointrend_repro.base.errors import UserError
from segmenting import segment, write_model, write_photos


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), "4conv")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- what is the user's ------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["pictures", "overlays", "thumbnails", "labels", "objects"])
def test_a_folder_that_is_no_gallery_stays_as_it_is(here: Path, weights: Path, inside: str) -> None:
    before = contents(write_photos(here, f"{inside}/a.jpg", f"{inside}/b.jpg"))
    for place in (inside, f"{inside}/*.jpg"):
        with pytest.raises(
            UserError, match=r"^\.: holds files, but not images.json and objects/ of "
        ):
            segment(place, "--weights", weights, "--output", ".")
    assert contents(here) == before


@pytest.mark.parametrize("name", ["index.html", "results.json", "images.json", "objects/mine.json"])
def test_a_folder_with_one_file_of_the_users(here: Path, weights: Path, name: str) -> None:
    write_photos(here / "photos", "a.jpg")
    mine = here / "out" / name
    mine.parent.mkdir(parents=True)
    # Nearly what `segment` writes.
    mine.write_text('{"images": [], "categories": [], "annotations": []}')
    before = contents(here)
    with pytest.raises(UserError, match=r"^out: holds files"):
        segment("photos", "--weights", weights, "--output", "out")
    assert contents(here) == before


def test_an_output_that_is_a_file(here: Path, weights: Path) -> None:
    write_photos(here, "a.jpg")
    (here / "out").write_text("mine")
    with pytest.raises(UserError, match=r"^out: is a file; name a folder"):
        segment("a.jpg", "--weights", weights, "--output", "out")


@pytest.fixture
def gallery(here: Path, weights: Path) -> Path:
    """A folder that `segment` wrote, with pictures `a` and `b`."""
    segment(
        write_photos(here / "photos", "a.jpg", "b.jpg"), "--weights", weights, "--output", "out"
    )
    return here / "out"


@pytest.mark.parametrize(
    "place", ["out/pictures/a.jpg", "out/overlays", "link.jpg", "out/beside/overlays/*.jpg"]
)
def test_pictures_that_would_be_overwritten(gallery: Path, weights: Path, place: str) -> None:
    words = ("--weights", weights, "--beside-weights", weights, "--output", gallery)
    segment("photos", *words)
    write_photos(gallery / "pictures", "link.jpg")
    Path("link.jpg").symlink_to("out/pictures/link.jpg")
    before = contents(gallery)
    told = r"\.jpg: would be overwritten in .*out; choose another|fits only what `segment` made"
    with pytest.raises(UserError, match=told):
        segment(place, *words)
    assert contents(gallery) == before


def test_a_folder_of_the_users_where_the_second_model_writes(gallery: Path, weights: Path) -> None:
    write_photos(gallery / "beside", "mine.jpg")
    words = ("--weights", weights, "--output", gallery)
    assert segment("photos", *words)[0] == 0
    with pytest.raises(UserError, match="out/beside: holds files"):
        segment("photos", *words, "--beside-weights", weights)


def test_pictures_of_a_gallery_that_lie_beside_its_own(gallery: Path, weights: Path) -> None:
    before = contents(write_photos(gallery / "new", "c.jpg"))
    assert segment(gallery / "new", "--weights", weights, "--output", gallery)[0] == 0
    assert contents(gallery / "new") == before


def test_a_run_that_was_stopped_at_its_first_picture_continues(
    here: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(here / "photos", "a.jpg")
    words = ("photos", "--weights", weights, "--output", "out")

    def stop(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as stopped:
        stopped.setattr("pointrend_repro.api.segment.run.write_json", stop)
        with pytest.raises(MemoryError):
            segment(*words)
    assert (here / "out/overlays/a.jpg").exists()
    assert segment(*words)[0] == 0


def test_hidden_files_make_no_folder_anothers(here: Path, weights: Path) -> None:
    write_photos(here / "photos", "a.jpg")
    (here / "out").mkdir()
    (here / "out/.DS_Store").touch()
    assert segment("photos", "--weights", weights, "--output", "out")[0] == 0


# --- what is of an earlier run -----------------------------------------------------------------


def test_results_of_an_earlier_model_are_not_kept(gallery: Path, tmp_path: Path) -> None:
    assert (gallery / "results.json").exists()
    semantic = write_model(tmp_path, "deeplabv3")
    segment(tmp_path / "photos", "--weights", semantic, "--output", gallery)
    assert not (gallery / "results.json").exists()


def test_overlays_are_no_photographs(here: Path, weights: Path) -> None:
    write_photos(here / "photos", "a.jpg", "inside/b.jpg", "found/mine.jpg")
    (here / "photos/found/mine.jpg").unlink()  # an empty folder may become a gallery
    words = ("photos/**/*.jpg", "--weights", weights, "--output", "photos/found")
    for model in ((), ("--beside-weights", weights)):
        told = [segment(*words, *model)[1] for _ in range(2)]
        assert "\n2 pictures (2 were finished before)" in told[1]
    with pytest.raises(
        UserError, match=r"found/\*\*/\*\.jpg: this pattern fits only what `segment` made"
    ):
        segment("photos/found/**/*.jpg", "--weights", weights, "--output", "photos/found")


@pytest.mark.parametrize("kind", ["overlays", "thumbnails", "pictures", "labels"])
def test_pictures_whose_files_are_gone_are_made_again(here: Path, kind: str) -> None:
    photos = write_photos(here / "photos", "a.png", "b.png")
    words = (photos, "--weights", write_model(here, "deeplabv3"), "--output", "out")
    segment(*words)
    (gone,) = (here / "out" / kind).glob("b.*")
    before = gone.read_bytes()
    gone.unlink()
    assert "2 pictures (1 were finished before)" in segment(*words)[1]
    assert gone.read_bytes() == before
    assert "2 pictures (2 were finished before)" in segment(*words)[1]


def test_any_name_of_a_folder_has_the_pictures(here: Path, weights: Path) -> None:
    photos = write_photos(here / "photos", "a.png")
    segment(photos, "--weights", weights, "--beside-weights", weights, "--output", "beside")
    assert (here / "beside/pictures/a.jpg").is_file()
    assert not (here / "beside/beside/pictures").exists()


# --- what cannot be shown ----------------------------------------------------------------------


def test_a_picture_too_long_for_a_jpeg_is_listed(here: Path, weights: Path) -> None:
    write_photos(here / "photos", "a.jpg")
    Image.fromarray(np.zeros((1, 65501, 3), np.uint8)).save(here / "photos/long.png")
    code, told = segment("photos", "--weights", weights, "--output", "out")
    assert code == 1
    assert "1 picture" in told
    reason = "has 65501x1 pixels, and its overlay, a JPEG, at most 65500 a side; make it smaller"
    assert f"not read: photos/long.png: {reason}" in told
    assert len(json.loads((here / "out/images.json").read_text())["images"]) == 1
    assert reason in (here / "out/index.html").read_text()
