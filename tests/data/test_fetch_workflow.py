"""What the pipeline plans to fetch, and that Snakemake deletes nothing that was fetched."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from file_server import running_server
from small_downloads import WEIGHTS, Downloads, add_coco, pinned

from working_copy import WorkingCopy, make_copy

Builder = Callable[..., Path]
PAPER = ("--config", "preset=paper")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkingCopy:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "nobody"))
    return make_copy(tmp_path / "copy")


@pytest.fixture
def downloads(
    copy: WorkingCopy, coco_builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Downloads]:
    """The copy's own catalogue, of what a server on this machine has."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_server() as server:
        downloads = Downloads(server, copy.folder)
        add_coco(downloads, coco_builder(), train=4, val=2)
        downloads.add("r50", "imagenet", pinned(downloads.offer("R-50.pkl", WEIGHTS)))
        yield downloads


def test_the_paper_fetches_what_table_1_needs(copy: WorkingCopy) -> None:
    """COCO, LVIS and the ResNet-50; without network, and without asking for an account."""
    jobs = copy.plan(*PAPER)
    assert jobs["fetch_data"] == 3
    assert jobs["train"] == 6
    assert "count_data" not in jobs
    # Fetched by hand, where the nodes have no network.
    record = copy.folder / "data/.fetched/coco.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"origin": "fetched"}')
    assert copy.plan(*PAPER)["fetch_data"] == 2


def test_data_in_their_place_are_counted(copy: WorkingCopy) -> None:
    for place in ("train2017", "val2017", "annotations"):
        (copy.folder / "data/coco" / place).mkdir(parents=True)
    for name in ("instances_train2017", "instances_val2017", "lvis_v0.5_val"):
        (copy.folder / f"data/coco/annotations/{name}.json").write_text("{}")
    jobs = copy.plan(*PAPER)
    assert (jobs["count_data"], jobs["fetch_data"]) == (2, 1)
    done = copy.snakemake("--cores", "1", *PAPER, "--", "data/.fetched/coco.json")
    assert done.returncode != 0
    assert "0 files, not 118287" in (copy.folder / "logs/fetch/coco.log").read_text()


def test_lvis_annotations_elsewhere_are_checked(copy: WorkingCopy) -> None:
    """A shared folder of COCO has none, and nobody may write there."""
    (copy.folder / "shared").mkdir()
    (copy.folder / "my lvis.json").touch()
    options = ["data_root=shared", "lvis_annotations=my lvis.json"]
    text = copy.snakemake("--dry-run", *PAPER, *options).stdout
    assert re.search(r"data check .*--data-root=shared '--lvis-annotations=my lvis.json'", text)


def test_a_folder_that_the_user_names_is_not_fetched(copy: WorkingCopy) -> None:
    (copy.folder / "somewhere").mkdir()
    jobs = copy.plan(*PAPER, "data_root=somewhere")
    assert jobs["fetch_data"] == 1  # the weights
    assert "fetch_data" not in copy.plan("--config", "preset=smoke")
    assert "fetch_data" not in copy.plan("--config", "preset=tiny", "data_root=somewhere")


def test_a_rule_that_runs_again_deletes_nothing(copy: WorkingCopy, downloads: Downloads) -> None:
    """Only the record is Snakemake's to delete; pins and data outlive it."""
    targets = ["data/.fetched/coco.json", "data/.fetched/r50.json"]
    done = copy.snakemake("--cores", "1", *PAPER, "--", *targets)
    assert done.returncode == 0, done.stderr
    before = {p: p.read_bytes() for p in downloads.data.rglob("*") if p.is_file()}
    assert len([p for p in before if p.suffix == ".jpg"]) == 6
    asked = len(downloads.server.asked)
    done = copy.snakemake("--cores", "1", "--forcerun", "fetch_data", *PAPER, "--", *targets)
    assert done.returncode == 0, done.stderr
    assert "Fetching coco" in done.stderr
    assert {p: p.read_bytes() for p in downloads.data.rglob("*") if p.is_file()} == before
    assert len(downloads.server.asked) == asked
    # Gone after the fact, when all is trained perhaps: nothing is fetched again unasked.
    shutil.rmtree(downloads.data / "coco")
    done = copy.snakemake("--dry-run", *PAPER, "--", *targets)
    assert "Nothing to be done" in done.stdout + done.stderr
    downloads.fetch("coco")
    assert {p: p.read_bytes() for p in downloads.data.rglob("*") if p.is_file()} == before
