"""`config/downloads.yaml`: what is shipped, and what it may not say."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.finding import files_of
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.reading import load_dataset, load_variant
from pointrend_repro.config.variants import is_trained
from pointrend_repro.data.fetch.catalogue import Catalogue, load_catalogue

DATA = Path("data")


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return load_catalogue()


@pytest.mark.parametrize("variant", files_of("variant", CONFIG_DIR))
def test_every_variant_finds_its_weights(shipped: Catalogue, variant: str) -> None:
    described = load_variant(variant)
    if not is_trained(described):
        return
    backbone = described.model.backbone
    if described.start_from is not None and described.start_from.variant is not None:
        return  # it takes another one's
    assert backbone.weights
    name = shipped.provider(Path(backbone.weights), DATA)
    assert name is not None
    assert name in shipped.expand(["imagenet"])


def test_the_papers_data_sets_are_there(shipped: Catalogue) -> None:
    for name in ("coco", "coco2014", "cityscapes"):
        assert shipped.provider(Path(str(load_dataset(name).root)), DATA) == name
    coco = load_dataset("coco")
    annotations = [coco.train_annotations, coco.val_annotations, str(coco.lvis_annotations)]
    providers = [shipped.provider(DATA / "coco" / path, DATA) for path in annotations]
    assert providers == ["coco", "coco", "lvis"]
    people = load_dataset("coco_keypoints")
    assert shipped.provider(Path(str(people.root)), DATA) == "coco"
    providers = [shipped.provider(DATA / "coco" / p, DATA) for p in people.unusual_annotations]
    assert providers == ["coco_keypoints", "coco_keypoints"]
    assert coco.unusual_annotations == [coco.lvis_annotations]
    for generated in ("generated_coco", "generated_cityscapes"):
        assert shipped.provider(Path(str(load_dataset(generated).root)), DATA) is None


def test_published_numbers(shipped: Catalogue) -> None:
    """COCO 2017's and Cityscapes' numbers of images, as their sites and papers give them."""
    counts = {
        pattern: number
        for download in shipped.downloads.values()
        for file in download.files
        for pattern, number in file.counts.items()
    }
    assert counts["train2017/*.jpg"] == 118287
    assert counts["val2017/*.jpg"] == 5000
    assert (counts["train2014/*.jpg"], counts["val2014/*.jpg"]) == (82783, 40504)
    for split, number in (("train", 2975), ("val", 500)):
        assert counts[f"leftImg8bit/{split}/*/*_leftImg8bit.png"] == number
        assert counts[f"gtFine/{split}/*/*_gtFine_instanceIds.png"] == number


def test_names_on_the_command_line(shipped: Catalogue) -> None:
    assert shipped.expand(["coco", "coco", "lvis"]) == ["coco", "lvis"]
    assert len(shipped.expand(["imagenet"])) == 11
    assert all(name in shipped.expand(["checkpoints"]) for name in ["mask_rcnn_r50_fpn_1x_coco"])
    with pytest.raises(UserError, match="no download 'imagnet'; did you mean 'imagenet'"):
        shipped.expand(["imagnet"])


def test_zoo_files_are_held_against_the_hash_in_their_name(shipped: Catalogue) -> None:
    for name in shipped.expand(["checkpoints"]):
        file = shipped.downloads[name].files[0]
        assert file.name == f"model_final_{file.md5_prefix}.pkl"


def test_files_with_a_sha256_in_their_name_are_held_against_it(shipped: Catalogue) -> None:
    # Nobody says that the digits in Res2Net's name are of a SHA-256.
    unknown = {"imagenet_res2net101_v1b"}
    for name in set(shipped.expand(["imagenet", "mmdetection"])) - unknown:
        file = shipped.downloads[name].files[0]
        if found := re.search(r"-([0-9a-f]{8})\.pth$", file.name):
            assert (file.sha256_prefix or file.sha256[:8]) == found[1]
            assert file.has_published_hash


def test_every_file_lands_somewhere_else(shipped: Catalogue) -> None:
    places = [
        f"{download.into}/{place}"
        for download in shipped.downloads.values()
        for file in download.files
        for place in file.places
    ]
    assert len(places) == len(set(places))


FILE: dict[str, Any] = {
    "urls": ["https://a.org/b.pkl"],
    "max_bytes": 10,
    "sha256": "pin at first download",
    "hash_source": "none",
}
DOWNLOAD: dict[str, Any] = {"title": "a", "into": "a", "terms": "none", "files": [FILE]}


@pytest.mark.parametrize(
    ("download", "file", "told"),
    [
        ({}, {"md6": "0"}, "unknown key downloads.a.files.0.md6; did you mean 'md5'?"),
        ({"into": "../a"}, {}, "relative path"),
        ({"into": "/a"}, {}, "relative path"),
        ({}, {"unpack": {"places": ["a/../../b"], "max_bytes": 1}}, "relative path"),
        ({}, {"urls": ["file:///etc/passwd"]}, "must begin with http"),
        ({}, {"size_bytes": 5}, "either size_bytes or max_bytes"),
        ({}, {"max_bytes": None}, "either size_bytes or max_bytes"),
        ({}, {"urls": []}, "either urls or package"),
        (
            {},
            {"urls": ["https://a.org/s/download", "https://a.org/b.pkl"]},
            "the addresses end in different names, b.pkl, download; say the file's as `file_name`",
        ),
        ({}, {"sha256": "abc"}, "sha256"),
        ({"site": "https://a.org"}, {}, "have a `package`"),
    ],
)
def test_what_a_catalogue_may_not_say(
    tmp_path: Path, download: dict[str, Any], file: dict[str, Any], told: str
) -> None:
    entry = DOWNLOAD | download | {"files": [FILE | file]}
    path = tmp_path / "downloads.yaml"
    path.write_text(yaml.safe_dump({"downloads": {"a": entry}}))
    with pytest.raises(UserError) as caught:
        load_catalogue(tmp_path)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
