"""Bad input at the command line: one line that says what to do, exit code 2, no half result."""

import errno
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from pointrend_repro import cli
from pointrend_repro.base.files import read_json
from pointrend_repro.checkpoints.saved_models import SavedModel, save_model
from pointrend_repro.modeling.box_head import BoxHead
from pointrend_repro.modeling.build import build_mask_rcnn
from small_experiment import DATASET, PRESET, VARIANT, small_settings, write_small_config

Builder = Callable[..., Path]
Mutate = Callable[[dict[str, Any]], object]

CATEGORIES = [(3, "rectangle"), (7, "triangle"), (20, "diamond")]


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it said on stderr, progress and warnings left out."""

    code: int
    error: str

    def refuses(self, *told: str) -> None:
        """One line that tells of each of `told`, and exit code 2."""
        lines = [x for x in self.error.splitlines() if x.startswith("pointrend-repro: error: ")]
        assert len(lines) == 1, self.error
        assert self.error.endswith(lines[0] + "\n"), self.error
        assert self.code == 2
        assert "Traceback" not in self.error
        for part in told:
            assert part in lines[0]


@dataclass(frozen=True)
class Commands:
    """The commands of one experiment, run in this process."""

    config_dir: Path
    root: Path
    out: Path
    run: Callable[..., Answer]

    @property
    def model(self) -> Path:
        return self.out / "model.safetensors"

    def arguments(self, name: str, *more: str) -> list[str]:
        where = ["--data-root", str(self.root), "--config-dir", str(self.config_dir)]
        what = ["--preset", PRESET, "--dataset", DATASET, "--variant", VARIANT, "--device", "cpu"]
        return [name, *what, *where, *more]

    def train(self, *more: str) -> Answer:
        return self.run(
            *self.arguments("train", "--trial", "0", "--output", str(self.model), *more)
        )

    def predict(self, output: Path, *more: str) -> Answer:
        return self.run(
            *self.arguments("predict", "--inference", "res28", "--model", str(self.model)),
            *("--output", str(output), *more),
        )

    def check(self, output: Path) -> Answer:
        where = ["--data-root", str(self.root), "--config-dir", str(self.config_dir)]
        return self.run("data", "check", "--dataset", DATASET, "--output", str(output), *where)

    def evaluate(self, metric: str, truth: Path, predictions: Path, output: Path) -> Answer:
        files = ["--ground-truth", str(truth), "--predictions", str(predictions)]
        return self.run("evaluate", metric, *files, "--output", str(output))

    def untrained_model(self) -> None:
        """Put a model with random weights, and its origin, where `train` would."""
        settings = small_settings()
        torch.manual_seed(0)
        model = build_mask_rcnn(settings.model, num_classes=3)
        save_model(self.model, SavedModel(model, settings.input, CATEGORIES))
        origin = {"preset": PRESET, "dataset": DATASET, "variant": VARIANT, "trial": 0, "train": {}}
        self.model.with_suffix(".origin.json").write_text(json.dumps(origin))


@pytest.fixture
def run_cli(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    def run(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["pointrend-repro", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Answer(int(ended.value.code or 0), capfd.readouterr().err)

    return run


@pytest.fixture
def make_commands(
    tmp_path: Path, coco_builder: Builder, run_cli: Callable[..., Answer]
) -> Callable[..., Commands]:
    def make(
        *, mutate: Mutate | None = None, train_images: int = 3, **overrides: dict[str, Any]
    ) -> Commands:
        root = coco_builder(mutate=mutate, train_images=train_images, val_images=2)
        config_dir = write_small_config(tmp_path / "config", **overrides)
        return Commands(config_dir, root, tmp_path / "out", run_cli)

    return make


@pytest.fixture
def commands(make_commands: Callable[..., Commands]) -> Commands:
    return make_commands()


def leftovers(folder: Path) -> list[str]:
    """Results and unfinished files; logs may stay."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.suffix in {".safetensors", ".json", ".pt", ".part"}
    )


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)


# --- from end to end -------------------------------------------------------------------------


def test_train_predict_evaluate(commands: Commands) -> None:
    predictions, result = commands.out / "predictions.json", commands.out / "coco_ap.json"
    truth = commands.root / "annotations/instances_val2017.json"
    assert commands.check(commands.out / "dataset.json").code == 0
    assert commands.train().code == 0
    assert commands.predict(predictions).code == 0
    assert commands.evaluate("coco_ap", truth, predictions, result).code == 0
    description = read_json(commands.out / "dataset.json")
    assert description["categories"] == ["rectangle", "triangle", "diamond"]
    assert description["val"]["objects"] == 6
    origin = read_json(result)["origin"]
    assert {key: origin[key] for key in ("preset", "dataset", "variant", "trial")} == {
        "preset": PRESET,
        "dataset": DATASET,
        "variant": VARIANT,
        "trial": 0,
    }
    assert origin["train"]["settings"]["schedule"]["total_iters"] == 8
    assert origin["train"]["seed"] == 0
    assert origin["train"]["command"].startswith("pointrend-repro train --preset quick")
    assert origin["predict"]["settings"]["output_resolution"] == 28
    assert origin["evaluate"]["settings"] == {"metric": "coco_ap"}


# --- wrong words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["trian"],
        ["train", "--preset", "smoke"],
        ["train", "--no-such-option"],
        ["data", "generate"],
        ["evaluate"],
    ],
)
def test_usage_errors_exit_with_2(run_cli: Callable[..., Answer], arguments: list[str]) -> None:
    answer = run_cli(*arguments)
    assert answer.code == 2
    assert answer.error.startswith("Usage: ")
    assert "Traceback" not in answer.error


def test_wrong_values_of_options_exit_with_2(commands: Commands) -> None:
    for option, value in (("--trial", "-1"), ("--threads", "0"), ("--device", "tpu")):
        answer = commands.train(option, value)
        assert answer.code == 2
        assert f"Invalid value for '{option}'" in answer.error


def test_help_is_quick_and_names_every_step() -> None:
    code = (
        "import sys; from pointrend_repro.cli import app\n"
        "try:\n    app(['--help'])\n"
        "finally:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    for name in ("data", "train", "predict", "evaluate", "collect", "report"):
        assert name in done.stdout
    assert done.stdout.endswith("False\n")


def test_what_does_not_exist_is_refused(commands: Commands) -> None:
    commands.train("--preset", "qick").refuses("no preset 'qick'", "did you mean 'quick'?")
    commands.train("--dataset", "coco").refuses("no experiment of variant", "on data set 'coco'")
    commands.train("--variant", "nothing").refuses(
        "no experiment", "mask_rcnn_r50_fpn on coco_folder"
    )
    commands.train("--config-dir", "/nowhere").refuses("/nowhere: no such folder")
    answer = commands.predict(commands.out / "p.json", "--inference", "res29")
    answer.refuses("models/pointrend_r50_fpn.yaml", "inference 'res29' is not one of")
    truth = commands.root / "annotations/instances_val2017.json"
    metric = commands.evaluate("coco_app", truth, truth, commands.out / "m.json")
    metric.refuses("there is no metric 'coco_app'", "coco_ap")
    assert leftovers(commands.out) == []


def test_data_root_must_be_named(run_cli: Callable[..., Answer], tmp_path: Path) -> None:
    answer = run_cli("data", "check", "--dataset", DATASET, "--output", str(tmp_path / "d.json"))
    answer.refuses("'coco_folder' is a folder of yours", "--data-root FOLDER")
    where = ["--data-root", str(tmp_path / "none"), "--output", str(tmp_path / "d.json")]
    run_cli("data", "check", "--dataset", DATASET, *where).refuses("none: no such folder")
    assert leftovers(tmp_path) == []


def test_only_generated_data_is_generated(run_cli: Callable[..., Answer]) -> None:
    run_cli("data", "generate", "--dataset", "coco").refuses("'coco' is not a generated one")


def test_settings_are_checked_before_anything_runs(make_commands: Callable[..., Commands]) -> None:
    commands = make_commands(optimizer={"base_rl": 0.1})
    commands.train().refuses(
        "presets/quick.yaml", "unknown key optimizer.base_rl", "did you mean 'base_lr'?"
    )
    assert not commands.out.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_no_gpu_is_told(commands: Commands, tmp_path: Path) -> None:
    commands.train("--device", "cuda").refuses("no usable GPU; use --device cpu")
    what = ["--preset", "paper", "--dataset", "coco", "--variant", VARIANT, "--trial", "0"]
    where = ["--output", str(tmp_path / "model.safetensors")]
    commands.run("train", *what, *where).refuses("trains on a GPU", "--device cpu")
    commands.run("bench", "mask_head", "--device", "cuda").refuses("no usable GPU")


def test_a_full_gpu_is_one_line(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has")

    commands.untrained_model()
    monkeypatch.setattr(BoxHead, "forward", fill)
    output = commands.out / "predictions.json"
    commands.predict(output).refuses("Tried to allocate 2.00 GiB. GPU 0 has", "--device cpu")
    assert not output.exists()


def test_what_no_user_can_mend_is_a_traceback_and_1() -> None:
    code = (
        "import sys\nfrom pointrend_repro import cli\n"
        "from pointrend_repro.experiments import loading\n"
        "def broken(*_): raise ZeroDivisionError\n"
        "loading.load_grid = broken\n"
        "sys.argv = ['pointrend-repro', 'collect', '--preset', 'smoke']\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.rstrip().endswith("ZeroDivisionError")


# --- faulty data -----------------------------------------------------------------------------


def set_first(key: str, value: Any) -> Mutate:
    return lambda document: document["annotations"][0].update({key: value})


FAULTY = {
    "polygon of two points": (
        set_first("segmentation", [[1, 1, 5, 5]]),
        ["annotation 1000 (image 1)", "fewer than 3 points"],
    ),
    "box of zero area": (
        set_first("bbox", [1, 2, 3, 0]),
        ["annotation 1000 (image 1)", "[1, 2, 3, 0] of zero area"],
    ),
    "category not listed": (
        set_first("category_id", 4),
        ["annotation 1000 (image 1)", "category 4, which is not listed"],
    ),
}


@pytest.mark.parametrize(("mutate", "told"), FAULTY.values(), ids=FAULTY)
def test_faulty_annotations(
    make_commands: Callable[..., Commands], mutate: Mutate, told: list[str]
) -> None:
    commands = make_commands(mutate=mutate)
    told = ["instances_train2017.json", *told]
    commands.check(commands.out / "dataset.json").refuses(*told)
    commands.train().refuses(*told)
    assert leftovers(commands.out) == []


def test_truncated_annotations(commands: Commands) -> None:
    path = commands.root / "annotations/instances_train2017.json"
    path.write_text(path.read_text()[:-300])
    told = [str(path), "not valid JSON", "may be truncated"]
    commands.check(commands.out / "dataset.json").refuses(*told)
    commands.train().refuses(*told)
    assert leftovers(commands.out) == []


def test_image_not_on_disk(commands: Commands) -> None:
    (commands.root / "train2017/000000000002.jpg").unlink()
    told = ["train2017/000000000002.jpg is not on disk"]
    commands.check(commands.out / "dataset.json").refuses(*told)
    commands.train().refuses(*told)
    assert leftovers(commands.out) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_truncated_image(make_commands: Callable[..., Commands], workers: int) -> None:
    commands = make_commands(run={"loader_workers": workers, "checkpoint_every_iters": 100})
    path = commands.root / "train2017/000000000002.jpg"
    path.write_bytes(path.read_bytes()[:400])
    commands.train().refuses(str(path), "not a whole image", "may be truncated")
    assert leftovers(commands.out) == []


def test_truncated_validation_image(commands: Commands) -> None:
    commands.untrained_model()
    path = commands.root / "val2017/000000001001.jpg"
    path.write_bytes(path.read_bytes()[:400])
    commands.predict(commands.out / "predictions.json").refuses(str(path), "not a whole image")
    assert "predictions.json" not in leftovers(commands.out)


def test_data_without_any_object(make_commands: Callable[..., Commands]) -> None:
    commands = make_commands(mutate=lambda document: document["annotations"].clear())
    commands.train().refuses("no training image has an object", "nothing to train on")
    assert leftovers(commands.out) == []


def test_train_and_val_must_have_the_same_categories(commands: Commands) -> None:
    path = commands.root / "annotations/instances_val2017.json"
    path.write_text(path.read_text().replace("diamond", "ruby"))
    answer = commands.check(commands.out / "dataset.json")
    answer.refuses(str(path), "its categories are not those of")


def test_lvis_file_of_another_kind(commands: Commands, tmp_path: Path) -> None:
    path = tmp_path / "lvis.json"
    path.write_text("[]")
    where = ["--data-root", str(commands.root), "--lvis-annotations", str(path)]
    output = ["--output", str(commands.out / "dataset.json")]
    answer = commands.run("data", "check", "--dataset", DATASET, *where, *output)
    answer.refuses(str(path), "no list 'images'")


# --- training that fails ---------------------------------------------------------------------


def test_loss_that_is_not_finite(make_commands: Callable[..., Commands]) -> None:
    commands = make_commands(optimizer={"base_lr": 1e12, "warmup_iters": 0})
    commands.train().refuses("the loss is not finite", "lower optimizer.base_lr")
    assert "model.safetensors" not in leftovers(commands.out)


def test_a_changed_setting_trains_afresh_and_keeps_the_old_checkpoints(
    make_commands: Callable[..., Commands], tmp_path: Path
) -> None:
    commands = make_commands()
    assert commands.train().code == 0
    before = commands.model.read_bytes()
    other = write_small_config(tmp_path / "other", optimizer={"base_lr": 0.02})
    answer = commands.train("--config-dir", str(other))
    assert answer.code == 0
    assert commands.model.read_bytes() != before
    assert len(list(commands.out.glob("checkpoints.*"))) == 1


# --- disks that are full ---------------------------------------------------------------------


def test_disk_full_at_a_checkpoint(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    log_is_written = commands.out / "log.jsonl"

    def full_after_the_start(_: int) -> None:
        if log_is_written.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full_after_the_start)
    commands.train().refuses("checkpoints/iter_00000003.pt", "No space left", "free some space")
    assert leftovers(commands.out) == []


@pytest.fixture
def small_files_only() -> Iterator[Callable[[], None]]:
    """A function after which this process can write no file beyond 50 kB, until the test ends."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, old[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_disk_really_too_small_for_a_checkpoint(
    commands: Commands, small_files_only: Callable[[], None]
) -> None:
    small_files_only()
    commands.train().refuses("iter_00000003.pt", "File too large", "free some space")
    assert leftovers(commands.out) == []


def test_disk_full_at_the_model_leaves_no_model_and_no_origin(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, small_files_only: Callable[[], None]
) -> None:
    assert commands.train().code == 0
    monkeypatch.setattr("pointrend_repro.training.saving.save_checkpoint", lambda *_: None)
    before = commands.model.read_bytes()
    small_files_only()
    commands.train().refuses("model.safetensors", "File too large", "free some space")
    assert commands.model.read_bytes() == before
    # Without an origin the older model can be taken for neither training's.
    assert not commands.model.with_suffix(".origin.json").exists()
    answer = commands.predict(commands.out / "predictions.json")
    answer.refuses("model.origin.json: no such file")


def test_disk_full_at_predictions_and_metrics(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.untrained_model()
    predictions, result = commands.out / "predictions.json", commands.out / "coco_ap.json"
    truth = commands.root / "annotations/instances_val2017.json"
    with monkeypatch.context() as patch:
        fill_the_disk(patch)
        commands.predict(predictions).refuses("predictions.json", "No space left")
        commands.check(commands.out / "dataset.json").refuses("dataset.json", "No space left")
    assert leftovers(commands.out) == ["model.origin.json", "model.safetensors"]
    assert commands.predict(predictions).code == 0
    with monkeypatch.context() as patch:
        fill_the_disk(patch)
        answer = commands.evaluate("coco_ap", truth, predictions, result)
        answer.refuses("coco_ap.json", "No space left")
    assert not result.exists()
    assert commands.evaluate("coco_ap", truth, predictions, result).code == 0


def test_output_that_cannot_be_written(commands: Commands) -> None:
    commands.out.mkdir()
    (commands.out / "file").write_text("")
    commands.train("--output", str(commands.out / "file" / "model.safetensors")).refuses(
        "file", "cannot be written", "choose another place"
    )
    (commands.out / "folder").mkdir()
    commands.check(commands.out / "folder").refuses("folder: cannot be written")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission(commands: Commands) -> None:
    commands.out.mkdir(mode=0o500)
    commands.train().refuses("Permission denied", "choose another place")


# --- results that do not fit -----------------------------------------------------------------


def test_damaged_model(commands: Commands) -> None:
    commands.untrained_model()
    output = commands.out / "predictions.json"
    whole = commands.model.read_bytes()
    for damaged in (whole[:-1000], whole[:20], b""):
        commands.untrained_model()  # its record is of before digests were kept
        commands.model.write_bytes(damaged)
        commands.predict(output).refuses("model.safetensors: is not whole; kept as", "run again")
    commands.predict(output).refuses("model.safetensors: no such file; train the model first")
    assert not output.exists()


def test_model_of_other_classes(commands: Commands) -> None:
    commands.untrained_model()
    path = commands.root / "annotations/instances_val2017.json"
    path.write_text(path.read_text().replace("diamond", "ruby"))
    answer = commands.predict(commands.out / "predictions.json")
    answer.refuses("trained for the categories (3: rectangle, triangle, diamond)", "ruby")


def test_predictions_of_another_data_set(commands: Commands) -> None:
    commands.untrained_model()
    predictions, result = commands.out / "predictions.json", commands.out / "coco_ap.json"
    assert commands.predict(predictions).code == 0
    assert read_json(predictions)
    train = commands.root / "annotations/instances_train2017.json"
    answer = commands.evaluate("coco_ap", train, predictions, result)
    answer.refuses("predictions.json", "image 1001")
    predictions.write_text(predictions.read_text()[:-50])
    answer = commands.evaluate("coco_ap", train, predictions, result)
    answer.refuses("predictions.json: is not what predictions.origin.json beside it describes")
    assert not result.exists()


def test_predictions_without_origin(commands: Commands, tmp_path: Path) -> None:
    predictions = tmp_path / "theirs.json"
    predictions.write_text("[]")
    truth = commands.root / "annotations/instances_val2017.json"
    answer = commands.evaluate("coco_ap", truth, predictions, commands.out / "coco_ap.json")
    answer.refuses("theirs.json: has no record beside it (theirs.origin.json), as those of other")


# --- killed ----------------------------------------------------------------------------------


def train_and_kill(arguments: list[str], log: Path, lines: int) -> None:
    """Start a training in a process of its own and kill it when its log has some lines."""
    code = "import sys; from pointrend_repro.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not log.exists() or len(log.read_bytes().splitlines()) < lines:
            assert process.poll() is None, "the training ended before it was killed"
            assert time.monotonic() < deadline, "the training does not get on"
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL


def test_killed_and_run_again_gives_the_very_same_file(
    make_commands: Callable[..., Commands], caplog: pytest.LogCaptureFixture
) -> None:
    commands = make_commands(
        schedule={"total_iters": 60, "lr_drop_iters": [50]}, run={"checkpoint_every_iters": 7}
    )
    whole = commands.out / "whole" / "model.safetensors"
    assert commands.train("--output", str(whole)).code == 0
    arguments = commands.arguments("train", "--trial", "0", "--output", str(commands.model))
    train_and_kill(arguments, commands.out / "log.jsonl", lines=17)
    assert not commands.model.exists()
    assert (commands.out / "checkpoints").is_dir()
    with caplog.at_level(logging.WARNING):
        assert commands.train().code == 0
    assert commands.model.read_bytes() == whole.read_bytes()
    assert without_time(commands.out / "log.jsonl") == without_time(whole.parent / "log.jsonl")


def without_time(log: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [{key: line[key] for key in line if key != "elapsed_s"} for line in lines]
