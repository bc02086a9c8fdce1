"""`--config papers=...`: what Snakemake lists, what `plan` counts, and what is refused."""

import re

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
    lines = re.findall(r"Shell command: (.*)", told)
    jobs = [line for line in lines if " train " in line or " predict " in line]
    assert len(jobs) == 8
    assert not any("--papers" in line for line in jobs), "another choice would train them again"
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
