"""`data mend FOLDER OUT` as it is typed, and what `data check` says of it."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from broken_folders import BROKEN, add_head, coco_file, images, objects
from mended_folders import tree

from small_experiment import Run


def test_check_mend_check(run: Run, coco_builder: Callable[..., Path], tmp_path: Path) -> None:
    root, out = coco_builder(root=tmp_path / "my data"), tmp_path / "out"
    objects(lambda e: e.pop("area"))(root)
    images(lambda e: e.update(width=str(e["width"])))(root)
    code, _, error = run("data", "check", root)
    assert code == 2
    assert (
        f"named above; `pointrend-repro data mend '{root}' OUT` mends in a copy: sizes of images "
        "as text or with a decimal point (6), areas that were absent, 0 or negative, from the mask "
        "(18)\n"
    ) in error
    code, told, error = run("data", "mend", root, out)
    assert (code, "Traceback" in error) == (0, False)
    assert "  areas that were absent, 0 or negative, from the mask: 18\n" in told
    assert "To mend before anything is trained: nothing\n" in told
    assert f"Next: pointrend-repro data check {out} --write" in told
    code, told, _ = run("data", "check", out)
    assert (code, "To mend before anything is trained: nothing" in told) == (0, True)

    code, told, _ = run("data", "mend", out, tmp_path / "twice")
    assert (code, (tmp_path / "twice").exists()) == (0, False)
    assert f"{out}: nothing that can be mended, so {tmp_path / 'twice'} is not made" in told


def test_check_tells_that_names_in_other_letters_can_be_mended(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    root, out = coco_builder(), tmp_path / "out"
    (root / "train2017/000000000002.jpg").rename(root / "train2017/000000000002.JPG")
    code, told, error = run("data", "check", root)
    assert code == 2
    assert "000000000002.jpg is not on disk" in told
    kind = "file names in other letters, or with another ending, than on disk"
    assert f"`pointrend-repro data mend {root} OUT` mends in a copy: {kind} (1)" in error
    code, told, _ = run("data", "mend", root, out)
    assert (code, f"  {kind}: 1\n" in told) == (0, True)
    assert run("data", "check", out)[0] == 0


def test_full_paths_of_pictures_are_refused_and_mended(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    root, out = coco_builder(), tmp_path / "out"
    BROKEN["folders of this computer"](root)
    code, _, error = run("data", "check", root)
    assert code == 2
    assert "(a full path), is below" in error
    assert (
        "mends in a copy: file names that were paths of another machine or addresses (6)" in error
    )
    assert run("data", "mend", root, out)[0] == 0
    shutil.rmtree(root)
    assert run("data", "check", out)[0] == 0


def test_folders_of_images_that_are_named(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    """Beside masks of the same names, the check and the mending ask, and are told."""
    root, out = coco_builder(), tmp_path / "out"
    objects(lambda e: e.pop("area"))(root)
    named, copied = [], []
    for split in ("train", "val"):
        (root / f"rgb_{split}").mkdir()
        (root / f"{split}2017").rename(root / f"rgb_{split}/{split}")
        shutil.copytree(root / f"rgb_{split}/{split}", root / f"depth/{split}")
        named += [f"--{split}-images", root / f"rgb_{split}/{split}"]
        copied += [f"--{split}-images", out / f"rgb_{split}/{split}"]
    for command in (["check", root], ["mend", root, out]):
        code, _, error = run("data", *command)
        assert (code, out.exists()) == (2, False)
        assert "are in depth/train (4 of 4) and rgb_train/train (4 of 4); say which" in error
        assert "by --train-images FOLDER" in error
    code, _, error = run("data", "check", root, *named)
    assert code == 2
    assert f"data mend {root} OUT {' '.join(map(str, named))}` mends in a copy: areas" in error
    code, told, _ = run("data", "mend", root, out, *named)
    assert code == 0
    assert f"Next: pointrend-repro data check {out} {' '.join(map(str, copied))} --write" in told
    code, told, _ = run("data", "check", out, *copied)
    assert (code, "images in rgb_train/train" in told) == (0, True)


def test_a_single_file_beside_its_images_and_masks_of_their_names(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    root, out = coco_builder(), tmp_path / "out"
    coco_file(root, "train").rename(root / "train2017/_annotations.coco.json")
    coco_file(root, "val").unlink()
    (root / "masks").mkdir()
    for path in (root / "train2017").glob("*.jpg"):
        shutil.copy(path, root / "masks")
    assert run("data", "mend", root, out, "--val-share", "0.25")[0] == 0


def test_one_file_is_told_to_be_split(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    root, out = coco_builder(), tmp_path / "out"
    coco_file(root, "train").rename(root / "result.json")
    coco_file(root, "val").unlink()
    code, _, error = run("data", "check", root)
    assert code == 2
    assert f"`pointrend-repro data mend {root} OUT` mends in a copy: files to be split" in error
    code, told, _ = run("data", "mend", root, out, "--val-share", "0.25", "--seed", "3")
    assert code == 0
    assert "3 images to train, 1 images to val" in told
    assert run("data", "check", out)[0] == 0
    one = json.loads((root / "result.json").read_text())
    one["images"] = one["images"][:1]
    (root / "result.json").write_text(json.dumps(one))
    code, _, error = run("data", "mend", root, tmp_path / "none")
    assert (code, (tmp_path / "none").exists()) == (2, False)
    assert "there are 1 images, which are 1 different pictures" in error


def test_one_of_several_files_is_split_when_named(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    """As in derejetabzaw/mmdetection_instance_segmentation_demo, a232245: two `trainval.json`."""
    root, out = coco_builder(), tmp_path / "out"
    coco_file(root, "val").unlink()
    named = root / "annotations/trainval.json"
    coco_file(root, "train").rename(named)
    (root / "data").mkdir()
    shutil.copy(named, root / "data")
    code, _, error = run("data", "check", root)
    assert (code, "has several train files" in error) == (2, True)
    code, _, error = run("data", "check", root, "--train", named)
    assert f"`pointrend-repro data mend {root} OUT --train {named}` mends in a copy" in error
    code, told, _ = run("data", "mend", root, out, "--train", named, "--val-share", "0.25")
    assert (code, "3 images to train, 1 images to val" in told) == (0, True)
    (line,) = [each for each in told.splitlines() if each.startswith("Next: ")]
    words = line.removeprefix("Next: pointrend-repro ").removesuffix(" --write").split()
    assert run(*words)[0] == 0


def test_all_that_is_left_is_listed_by_the_command_that_is_named(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    root, out = coco_builder(train_images=12), tmp_path / "out"
    objects(lambda e: e.update(segmentation=[], iscrowd="0"))(root)
    coco_file(root, "train").rename(root / "annotations/0.json")
    coco_file(root, "val").rename(root / "annotations/1.json")
    named = [f"--{split}={root}/annotations/{k}.json" for k, split in enumerate(("train", "val"))]
    code, told, _ = run("data", "mend", root, out, *named)
    (line,) = [each for each in told.splitlines() if " more (all of them: " in each]
    command = line.split("(all of them: pointrend-repro ")[1].removesuffix(" FILE)").split()
    assert (code, command[2]) == (2, str(out))
    assert run(*command, tmp_path / "all.json")[0] == 2
    findings = json.loads((tmp_path / "all.json").read_text())["findings"]
    assert len([f for f in findings if f["kind"] == "wrong annotations"]) > 10


def test_check_tells_that_a_heading_would_be_a_class(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    """Roboflow's project, of which the pipeline itself would say no more than that it is empty."""
    root, out = coco_builder(mutate=add_head), tmp_path / "out"
    code, told, _ = run("data", "check", root)
    assert code == 0
    assert told.count("'my-project-v3' (id 0) would be a class of the model; `pointrend-repro") == 2
    assert run("data", "mend", root, out)[0] == 0
    code, told, _ = run("data", "check", out)
    assert (code, "my-project-v3" in told) == (0, False)


def test_what_is_left_is_named(run: Run, coco_builder: Callable[..., Path], tmp_path: Path) -> None:
    root, out = coco_builder(), tmp_path / "out"
    objects(lambda e: e.pop("area"))(root)
    (root / "train2017/000000000002.jpg").write_bytes(b"\xff\xd8")
    code, told, error = run("data", "mend", root, out)
    assert code == 2
    assert "000000000002.jpg: not a whole image" in told
    assert error.endswith(f"error: {out}: left to mend by hand, named above: 1\n")
    assert json.loads(coco_file(out, "val").read_text())["annotations"][0]["area"] > 0


def test_crowds_become_objects_when_asked(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    """As Datumaro writes brushed masks; which of them are crowds after all, only a person knows."""
    root, out = coco_builder(), tmp_path / "out"
    objects(lambda e: e.update(iscrowd="1"))(root)
    assert run("data", "mend", root, tmp_path / "kept")[0] == 2
    code, told, _ = run("data", "mend", root, out, "--no-crowds")
    assert (code, "  objects marked as crowds (--no-crowds): 18\n" in told) == (0, True)
    document = json.loads(coco_file(out, "train").read_text())
    assert {a["iscrowd"] for a in document["annotations"]} == {0}


def test_objects_without_a_mask_are_taken_out_when_asked(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    """Stray clicks; one in 18 is more than the pipeline accepts."""
    root, out = coco_builder(), tmp_path / "out"
    path = coco_file(root, "train")
    document = json.loads(path.read_text())
    first, second, third, crowd, *others = document["annotations"]
    first["segmentation"] = [[9, 9, 12, 9]]
    second["segmentation"] = [[9.1, 9.1, 9.2, 9.1, 9.2, 9.2]]
    second["bbox"] = [9.1, 9.1, 0.1, 0.1]
    third["segmentation"] = []
    crowd |= {"iscrowd": 1, "segmentation": second["segmentation"], "bbox": second["bbox"]}
    path.write_text(json.dumps(document))
    code, told, _ = run("data", "check", root)
    assert code == 2
    assert "let `pointrend-repro data mend --drop-empty` take them out" in told
    assert "nothing that can be mended" in run("data", "mend", root, out)[1]
    code, told, error = run("data", "mend", root, out, "--drop-empty")
    assert "  objects without a mask, taken out (--drop-empty): 3\n" in told
    assert code == 0, error
    left = json.loads(coco_file(out, "train").read_text())["annotations"]
    assert [entry["id"] for entry in left] == [entry["id"] for entry in (crowd, *others)]


def test_places_that_are_refused(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    root = coco_builder()
    before = tree(root)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out, told in {
        root: "is there already, and not empty",
        root / "train2017/mended": f"is inside {root}",
        tmp_path / "full": "is there already, and not empty",
        tmp_path / "full/mine.txt": "is there already",
        tmp_path / "link": "is there already",
    }.items():
        code, _, error = run("data", "mend", root, out)
        assert (code, told in error) == (2, True), error
    assert tree(root) == before
    code, _, error = run("data", "mend", tmp_path / "none", tmp_path / "out")
    assert (code, "none: no such folder" in error) == (2, True)
    (root / "leftImg8bit").mkdir()
    (root / "gtFine").mkdir()
    code, _, error = run("data", "mend", root, tmp_path / "out")
    assert (code, "is in Cityscapes' format; only COCO's is mended" in error) == (2, True)


def test_links_share_the_images_and_nothing_that_is_mended(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    root, out = coco_builder(), tmp_path / "out"
    out.mkdir()  # an empty one may be there
    document = json.loads(coco_file(root, "val").read_text())
    del document["annotations"][0]["area"]
    coco_file(root, "val").write_text(json.dumps(document))
    before = tree(root)
    assert run("data", "mend", root, out, "--link")[0] == 0
    assert tree(root) == before
    same = {p for p in before if (root / p).samefile(out / p)}
    assert before.keys() - same == {"annotations/instances_val2017.json"}


def test_links_that_the_disk_refuses_are_told_from_files_that_it_hides(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux protects another user's files from hard links, though anybody may read them."""

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    root = coco_builder()
    objects(lambda e: e.pop("area"))(root)
    monkeypatch.setattr(os, "link", refuse)
    code, _, error = run("data", "mend", root, tmp_path / "out", "--link")
    assert code == 2
    assert ".jpg: cannot be linked (Operation not permitted); leave out --link\n" in error


def test_files_that_are_named(run: Run, coco_builder: Callable[..., Path], tmp_path: Path) -> None:
    root, out = coco_builder(), tmp_path / "out"
    objects(lambda e: e.pop("area"))(root)
    coco_file(root, "train").rename(root / "annotations/a.json")
    coco_file(root, "val").rename(tmp_path / "b.json")  # outside of the folder
    files = ("--train", root / "annotations/../annotations/a.json", "--val", tmp_path / "b.json")
    code, told, _ = run("data", "mend", root, out, *files)
    assert (code, "  areas that were absent, 0 or negative, from the mask: 18\n" in told) == (
        0,
        True,
    )
    names = sorted(path.name for path in (out / "annotations").iterdir())
    assert names == ["a.json", "instances_val.json"]


def test_the_next_command_of_a_file_that_was_split_runs(
    run: Run, coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    """Nothing shows any more where its images are, if masks beside them have their names."""
    built, root, out = coco_builder(train_images=8), tmp_path / "one", tmp_path / "out"
    shutil.copytree(built / "train2017", root / "imgs")
    shutil.copytree(built / "train2017", root / "masks")
    shutil.copy(built / "annotations/instances_train2017.json", root / "imgs/all.json")
    code, told, _ = run("data", "mend", root, out)
    assert code == 0
    (line,) = [each for each in told.splitlines() if each.startswith("Next: ")]
    words = line.removeprefix("Next: pointrend-repro ").removesuffix(" --write").split()
    assert words[-4:] == ["--train-images", f"{out}/imgs", "--val-images", f"{out}/imgs"]
    assert run(*words)[0] == 0
    assert run(*words[:3])[0] == 2
