"""Where `segment` writes: nothing of the user's is lost, and what it leaves is of one run."""

from pathlib import Path

import pytest

from segmenting import segment, write_model, write_photos


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), "4conv")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def gallery(here: Path, weights: Path) -> Path:
    """A folder that `segment` wrote, with pictures `a` and `b`."""
    segment(
        write_photos(here / "photos", "a.jpg", "b.jpg"), "--weights", weights, "--output", "out"
    )
    return here / "out"


# --- what is of an earlier run -----------------------------------------------------------------


def test_results_of_an_earlier_model_are_not_kept(gallery: Path, tmp_path: Path) -> None:
    assert (gallery / "results.json").exists()
    semantic = write_model(tmp_path, "deeplabv3")
    segment(tmp_path / "photos", "--weights", semantic, "--output", gallery)
    assert not (gallery / "results.json").exists()


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
