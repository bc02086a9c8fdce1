"""Snakemake predicts the boxes that others learn from before these train, and both splits."""

import pytest
from test_proposals_from import FOLLOWER, SOURCE, WAY, write_config
from test_workflow import STUB

from config_files import config_file
from small_experiment import PRESET
from working_copy import WorkingCopy, make_stubbed_copy


@pytest.fixture
def copy(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    """The pipeline, whose commands a stub stands for."""
    folder = tmp_path_factory.mktemp("given") / "copy"
    return make_stubbed_copy(folder, write_config, STUB)


def test_from_the_first_boxes_to_a_change(copy: WorkingCopy) -> None:
    where = ("--config", f"preset={PRESET}")
    planned = copy.snakemake("--dry-run", "--printshellcmds", *where)
    assert planned.returncode == 0, planned.stderr
    boxes = f"results/{PRESET}/generated_coco/{SOURCE}/trial0/{WAY}"
    given = {
        "train": f"--proposals={boxes}/on_train/predictions.json",
        "predict": f"--proposals={boxes}/predictions.json",
    }
    for command, option in given.items():
        lines = [ln for ln in planned.stdout.splitlines() if f" {command} --preset" in ln]
        told = [f"--variant {FOLLOWER}" in line for line in lines]
        assert [option in line for line in lines] == told
        assert sum(told) == 1
    on_train = [ln for ln in planned.stdout.splitlines() if "--split=train" in ln]
    assert len(on_train) == 1
    assert f"--output {boxes}/on_train/predictions.json" in on_train[0]

    jobs = copy.plan(*where)
    assert (jobs["train"], jobs["predict"], jobs["predict_on_train"]) == (2, 2, 1)
    done = copy.snakemake("--cores", "1", "--quiet", "all", *where)
    assert done.returncode == 0, done.stderr
    assert copy.plan(*where) == {}
    source = config_file(f"variants/{SOURCE}", copy.folder / "config").relative_to(copy.folder)
    copy.edit(str(source), "kind: 4conv", "kind: sharpmask")
    jobs = copy.plan(*where)
    assert (jobs["train"], jobs["predict"], jobs["predict_on_train"]) == (2, 2, 1)
