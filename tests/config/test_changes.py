"""`--set KEY=VALUE`: what a person changes of a preset for one run."""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pointrend_repro.base import asked
from pointrend_repro.base.asked import VARIABLE, asking
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.provenance import command_line
from pointrend_repro.config.changes import require_of_family
from pointrend_repro.config.reading import load_preset
from pointrend_repro.declarations.family import FAMILIES
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.shown import trainings_shown
from pointrend_repro.pipeline.workflow import read_workflow_config
from pointrend_repro.settings.identity import settings_digest

PAIR = ("generated_coco", "pointrend_r50_fpn")


@pytest.fixture(autouse=True)
def nobody_asks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(VARIABLE, raising=False)
    yield
    assert asked._said == []


def grid(*words: str) -> Grid:
    with asking(words):
        return load_grid("smoke")


def settings(*words: str) -> Any:
    return grid(*words).training_settings(*PAIR)


def test_a_setting_is_changed_and_counts_as_if_the_preset_said_so() -> None:
    assert settings("optimizer.base_lr=1e-3").optimizer.base_lr == 0.001
    plain, changed = settings(), settings("optimizer.base_lr=0.001")
    assert settings_digest(changed) != settings_digest(plain)
    asked_for = changed.model_copy(update={"optimizer": plain.optimizer})
    assert settings_digest(asked_for) == settings_digest(plain)


def test_keys_of_the_preset_itself_and_lists() -> None:
    with asking(["trials.coco=2", "run.log_every_iters=3", "input.train_short_edges_px=[64, 80]"]):
        preset = load_preset("smoke")
    assert preset.trials["coco"] == 2
    assert preset.overrides.input["train_short_edges_px"] == [64, 80]
    assert settings_digest(settings("run.log_every_iters=3")) == settings_digest(settings())


def test_trials_on_other_seeds_are_those_that_run_and_whose_first_the_figures_show() -> None:
    found = grid("trials.coco=3..5")
    on_coco = {t.trial for t in found.trainings if t.dataset == found.preset.datasets["coco"]}
    elsewhere = {t.trial for t in found.trainings} - on_coco
    assert (on_coco, elsewhere) == ({3, 4, 5}, {0})
    figure = found.drawn.figures["figure2"]
    assert {training.trial for training in trainings_shown(found, figure).values()} == {3}


def test_as_many_trials_as_are_allowed_and_one_late_seed() -> None:
    with asking(["trials.coco=20261129..20261129", "trials.cityscapes=1000"]):
        preset = load_preset("smoke")
    assert list(preset.trials_of("coco")) == [20261129]
    assert preset.trials_of("cityscapes") == range(1000)


def test_the_last_word_counts_and_the_command_s_comes_after_the_environment_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert settings("optimizer.momentum=0.5", "optimizer.momentum=0.6").optimizer.momentum == 0.6
    monkeypatch.setenv(VARIABLE, '["optimizer.momentum=0.7", "optimizer.weight_decay=0"]')
    both = settings("optimizer.momentum=0.8").optimizer
    assert (both.momentum, both.weight_decay) == (0.8, 0)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("trials.coco=5..3", "'5..3' must be a number above 0, or the first and the last: 3..5"),
        ("trials.coco=3-5", "'3-5' must be a number above 0"),
        ("trials.coco=true", "True must be a number above 0"),
        ("trials.coco=1001", "1001 is more than 1000 trials; a single seed N is written N..N"),
        ("trials.coco=20261129", "20261129 is more than 1000 trials"),
        ("trials.coco=0..1000", "'0..1000' is more than 1000 trials"),
        ("trials.coco=0..99999999999999999999", "is more than 1000 trials"),
        ("optimizer.base_lrr=1", "did you mean 'base_lr'?"),
        ("optimiser.base_lr=1", "did you mean 'optimizer'?"),
        ("trials.cocos=1", "trials"),
        ("optimizer.base_lr=-1", "optimizer.base_lr"),
        ("optimizer.base_lr", "must be KEY=VALUE"),
        ("=1", "must be KEY=VALUE"),
        ("optimizer.base_lr=[1", "not valid YAML"),
        ("start_from={variant: x}", "a preset names weights"),
    ],
)
def test_wrong_words_are_one_line(word: str, told: str) -> None:
    with pytest.raises(UserError, match=r"^[^\n]*$") as error:
        settings(word)
    assert told in str(error.value)


def test_a_change_of_another_family_is_refused() -> None:
    semantic = FAMILIES.find("semantic")
    with pytest.raises(UserError, match=r"say semantic\.optimizer\.base_lr"):
        require_of_family(["optimizer.base_lr=1"], semantic, "x")
    require_of_family(["semantic.optimizer.base_lr=1", "run.loader_workers=0"], semantic, "x")
    with pytest.raises(UserError, match="does not concern x"):
        require_of_family(["semantic.optimizer.base_lr=1"], FAMILIES.find("mask_rcnn"), "x")
    require_of_family(["optimizer.base_lr=1", "trials.coco=3"], FAMILIES.find("mask_rcnn"), "x")
    with pytest.raises(UserError, match=r"say families\.solov2\.optimizer\.base_lr"):
        require_of_family(["optimizer.base_lr=1"], FAMILIES.find("solov2"), "x")


def test_values_with_spaces_are_told_to_go_into_a_list() -> None:
    for text, part in (("title=My title", "title"), ('title="My title"', 'title"'), ("x", "x")):
        with pytest.raises(UserError, match=r"^[^\n]*$") as error:
            read_workflow_config({"preset": "smoke", "set": text})
        assert f"{part!r} must be KEY=VALUE; a value with spaces goes into a list: " in str(
            error.value
        )
        assert """'set=["title=My title"]'""" in str(error.value)
    with pytest.raises(UserError, match=r"^[^\n]*braces goes into a list: 'set=\[\"optimizer="):
        read_workflow_config({"preset": "smoke", "set": {"optimizer=": {"base_lr": 0.01}}})
    words = read_workflow_config({"preset": "smoke", "set": ["title=My title"]}).set
    with asking(words):
        assert load_preset("smoke").title == "My title"


def test_weights_to_fine_tune_from_have_to_be_there(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.pkl", tmp_path):
        with pytest.raises(UserError) as error:
            settings(f"weights={path}")
        assert str(error.value) == f"--set weights: {path}: no such file"


def test_weights_are_what_to_fine_tune_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("some.pkl").touch()
    changed = settings("weights=some.pkl", "optimizer.images_per_batch=1")
    plain = settings()
    assert changed.start_from.weights == "some.pkl"
    assert changed.start_from.what_fits
    assert changed.model.backbone.weights is None
    assert settings("weights=some.pkl", "start_from.frozen=[backbone]").start_from.frozen == (
        "backbone",
    )
    # Preset smoke sets base_lr itself: both rates stay.
    assert changed.optimizer.base_lr == plain.optimizer.base_lr
    assert changed.optimizer.warmup_start_lr == plain.optimizer.warmup_start_lr


def test_the_rate_follows_the_batch_by_the_linear_rule() -> None:
    def of_paper(*words: str) -> Any:
        with asking(words):
            return load_grid("paper").training_settings("coco", PAIR[1]).optimizer

    assert of_paper().base_lr == 0.02
    assert of_paper("optimizer.images_per_batch=4").base_lr == 0.02
    small = of_paper("optimizer.images_per_batch=4", "linear_rule=true")
    assert (small.base_lr, small.warmup_start_lr) == pytest.approx((0.005, 0.00025))
    own = of_paper("optimizer.images_per_batch=4", "linear_rule=true", "optimizer.base_lr=0.1")
    assert own.base_lr == 0.1
    begun = of_paper(
        "optimizer.images_per_batch=4", "linear_rule=true", "optimizer.warmup_start_lr=0.0001"
    )
    assert (begun.base_lr, begun.warmup_start_lr) == pytest.approx((0.005, 0.0001))


def test_the_workflow_shares_its_changes_with_its_commands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "model.pkl"
    file.touch()
    given = {"preset": "smoke", "weights": str(file), "set": "trials.coco=2 optimizer.momentum=0.5"}
    monkeypatch.setenv(VARIABLE, "[]")  # restored after the test
    read_workflow_config(given).share_changes()
    words = [f"weights={file}", "trials.coco=2", "optimizer.momentum=0.5"]
    assert asked.asked() == words
    monkeypatch.setattr(sys, "argv", ["/bin/pointrend-repro", "collect", "--preset", "smoke"])
    line = command_line()
    assert shlex.split(line) == [
        f"{VARIABLE}={json.dumps(words)}",
        *shlex.split("pointrend-repro collect --preset smoke"),
    ]
    with pytest.raises(UserError, match="no such file"):
        read_workflow_config(given | {"weights": "nothing.pkl"})


def test_without_changes_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    read_workflow_config({"preset": "smoke", "set": [], "weights": None}).share_changes()
    assert VARIABLE not in asked.os.environ
    monkeypatch.setenv(VARIABLE, "no list")
    with pytest.raises(UserError, match="must be a JSON list"):
        asked.asked()
