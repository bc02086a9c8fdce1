"""Snakemake trains what others start from first, and both again where the first one changes."""

from pathlib import Path

import pytest
from test_workflow import STUB

from config_files import config_file
from following import FOLLOWER, SOURCE, write_following_config
from small_experiment import PRESET
from working_copy import WorkingCopy, make_stubbed_copy


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    """A finished run, whose commands a stub stands for."""
    folder = tmp_path_factory.mktemp("following") / "copy"
    return make_stubbed_copy(folder, write_following_config, STUB)


def test_from_the_first_training_to_a_change(copy: WorkingCopy) -> None:
    where = ("--config", f"preset={PRESET}")
    planned = copy.snakemake("--dry-run", "--printshellcmds", *where)
    assert planned.returncode == 0, planned.stderr
    results = f"results/{PRESET}/generated_coco"
    lines = [line for line in planned.stdout.splitlines() if " train --preset" in line]
    given = [f"--start-from={results}/{SOURCE}/trial0/model.safetensors" in ln for ln in lines]
    assert given == [f"--variant {FOLLOWER}" in line for line in lines]
    assert sorted(given) == [False, True]

    done = copy.snakemake("--cores", "1", "--quiet", "all", *where)
    assert done.returncode == 0, done.stderr
    assert copy.plan(*where) == {}
    source = copy.folder / results / SOURCE / "trial0/model.safetensors"
    source.unlink()
    assert copy.plan(*where) == {}  # nobody needs it any more
    forced = copy.plan(*where, "--forcerun", "predict")
    assert "train" not in forced

    variant = config_file(f"variants/{SOURCE}", copy.folder / "config").relative_to(copy.folder)
    copy.edit(str(variant), "kind: 4conv", "kind: sharpmask")
    assert copy.plan(*where)["train"] == 2


def test_a_file_of_weights_may_go_or_be_touched(tmp_path: Path) -> None:
    """What has begun needs it no more; the page says where another file is in its place."""
    start = {"weights": "data/theirs.pkl", "parts": ["backbone", "rpn"]}
    copy = make_stubbed_copy(tmp_path / "copy", lambda c: write_following_config(c, start), STUB)
    weights, where = copy.folder / "data/theirs.pkl", ("--config", f"preset={PRESET}")
    weights.parent.mkdir(exist_ok=True)
    weights.write_text("weights")
    done = copy.snakemake("--cores", "1", "--quiet", "all", *where)
    assert done.returncode == 0, done.stderr
    weights.write_text("others")
    assert copy.plan(*where) == {}
    weights.unlink()
    assert copy.plan(*where) == {}
    # Its checkpoint may be there; the training says so if neither is.
    assert copy.plan(*where, "--forcerun", "train")["train"] == 1
