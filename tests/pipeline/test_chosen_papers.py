"""`--config papers=...`: what Snakemake lists, what `plan` counts, and what is refused."""

from pathlib import Path

import pytest

from made_up_paper import NAME, add_paper
from pointrend_repro.pipeline.planning.plan import Plan
from working_copy import WorkingCopy, make_copy


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    """Preset smoke without a list of tables, beside PointRend's a made-up paper."""
    made = make_copy(tmp_path_factory.mktemp("papers") / "copy")
    made.edit("config/presets/smoke.yaml", "tables: [table1]\n", "")
    add_paper(made.folder / "config")
    return made


def test_one_paper_alone(copy: WorkingCopy) -> None:
    done = copy.snakemake("--dry-run", "--printshellcmds", "--config", f"papers={NAME}")
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    assert "--variant made_up_mask_rcnn_r50_fpn --trial 0" in told
    for command in ("collect", "claims", "report"):
        assert f"pointrend-repro {command} --preset smoke --papers={NAME} " in told
    assert "cityscapes" not in told, "no table of the paper asks for it"
    jobs = copy.plan("--config", f"papers={NAME}")
    assert (jobs["train"], jobs["predict"]) == (4, 4)
    planned = copy.command(
        "pointrend-repro",
        "plan",
        "--preset",
        "smoke",
        "--papers",
        NAME,
        "--config-dir",
        "config",
        "--json",
    )
    assert planned.returncode == 0, planned.stderr
    counted = {job.rule: job.to_do for job in Plan.model_validate_json(planned.stdout).jobs}
    assert {rule: n for rule, n in counted.items() if n} | {"all": 1} == jobs


def test_a_paper_that_does_not_exist(copy: WorkingCopy) -> None:
    done = copy.snakemake("--dry-run", "--config", "papers=pointrend,made_op")
    assert done.returncode == 1
    assert "error: there is no paper 'made_op' in config/papers; did you mean 'made_up'?" in (
        done.stdout + done.stderr
    )
    assert "Traceback" not in done.stdout + done.stderr


def test_what_is_there_stays_for_another_choice(tmp_path: Path, copy: WorkingCopy) -> None:
    """Which papers are chosen is no setting of a training: none is trained again for it."""
    alone = copy.snakemake("--summary", "--config", f"papers={NAME}")
    both = copy.snakemake("--summary", "--config", f"papers=pointrend,{NAME}")
    assert alone.returncode == both.returncode == 0
    files = [{line.split("\t")[0] for line in done.stdout.splitlines()} for done in (alone, both)]
    models = [{file for file in each if file.endswith("model.safetensors")} for each in files]
    assert models[0]
    assert models[0] <= models[1]
