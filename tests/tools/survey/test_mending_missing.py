"""Images that are missing stay missing: no other file of such a name is taken."""

import json
from pathlib import Path

import pytest
from mended_folders import mend, plan
from test_survey_image_folders import SPLITS, frames

from pointrend_repro.tools.survey.inspecting import inspect_folder


@pytest.mark.parametrize("listed", [True, False])
def test_no_file_of_that_name_takes_the_place_of_a_missing_picture(
    listed: bool, tmp_path: Path
) -> None:
    """Neither one that the other split lists, nor any other, such as a mask."""
    root = frames(tmp_path / "data", "train", "val")
    kept = 4 if listed else 2
    for split, names in (("train", range(6)), ("val", range(kept))):
        path = root / f"labels/{split}.json"
        document = json.loads(path.read_text())
        document["images"] = [document["images"][k] for k in names]
        ids = {image["id"] for image in document["images"]}
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] in ids]
        document["annotations"][0].pop("area")
        path.write_text(json.dumps(document))
    gone = "train/frame_000003.png"
    (root / gone).unlink()
    planned = mend(root, tmp_path / "out")
    assert list(planned.done) == ["areas that were absent, 0 or negative, from the mask"]
    assert planned.left == ()
    (told,) = inspect_folder(tmp_path / "out").faults
    assert f"{tmp_path / 'out' / gone} is not on disk" in told.text


@pytest.mark.parametrize("splits", [("train",), SPLITS])
def test_an_address_is_not_that_of_an_image_of_the_other_split(
    splits: tuple[str, ...], tmp_path: Path
) -> None:
    """Where the only file that ends in the same way is listed there, or may be meant there, too."""
    root = frames(tmp_path, "train", "val")
    for split in splits:
        path = root / f"labels/{split}.json"
        document = json.loads(path.read_text())
        image = document["images"][3]
        image["file_name"] = f"https://host.example/{image['file_name']}"
        path.write_text(json.dumps(document))
    (root / "train/frame_000003.png").unlink()
    planned = plan(root)
    assert planned.done == {}
    assert len(planned.left) == len(splits)
    assert "would be val/frame_000003.png, which is another image's, too" in planned.left[0]
