"""`predict` in several processes, as `torchrun` starts them, and after it was killed."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from child_processes import Children, command, rank
from experiment import Experiment

from pointrend_repro.base.files import read_json
from pointrend_repro.pipeline.steps.sharing import Cores
from pointrend_repro.predictions import image_steps, in_parts
from small_experiment import DATASET, PRESET, VARIANT

INFERENCE = "res224"


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return Experiment(tmp_path_factory.mktemp("ranks"))


@pytest.fixture(scope="module")
def predict(experiment: Experiment) -> Callable[..., Children]:
    """What starts processes that predict into a folder of this name."""
    model = experiment.finish("whole") / "model.safetensors"

    def start(name: str, accident: Any = one_image_a_part, *, count: int, workers: int) -> Children:
        what = ["--preset", PRESET, "--dataset", DATASET, "--variant", VARIANT]
        what += ["--inference", INFERENCE, "--model", str(model), "--split", "train"]
        where = ["--config-dir", str(experiment.config), "--data-root", str(experiment.root)]
        where += ["--device", "cpu", "--threads", "1", "--workers", str(workers)]
        output = ["--output", str(experiment.folder / name / "predictions.json")]
        arguments = ["predict", *what, *where, *output]
        log = experiment.folder / f"{name}.txt"
        return Children(command, arguments, accident, count=count, log=log)

    return start


def one_image_a_part() -> None:
    in_parts.IMAGES = 1


def killed_at_the_third() -> None:
    one_image_a_part()
    seen = []

    def read(steps: Any, record: Any) -> Any:
        seen.append(record)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return steps(record)

    spy_on_reading(read)


def failing_in_rank_1() -> None:
    one_image_a_part()

    def read(steps: Any, record: Any) -> Any:
        if rank() == 1:
            raise OSError("stale file handle")
        return steps(record)

    spy_on_reading(read)


def spy_on_reading(read: Callable[[Any, Any], Any]) -> None:
    made = image_steps.Steps

    def steps(first: Any, *others: Any) -> Any:
        return made(lambda record: read(first, record), *others)

    in_parts.Steps = steps  # type: ignore[misc, assignment]


def test_two_processes_predict_as_one_does_even_after_one_was_killed(
    experiment: Experiment, predict: Callable[..., Children]
) -> None:
    one, two, killed = (experiment.folder / name for name in ("one", "two", "killed"))
    alone, both = predict("one", count=1, workers=0), predict("two", count=2, workers=1)
    cut = predict("killed", killed_at_the_third, count=1, workers=0)
    assert cut.wait() == [-signal.SIGKILL], cut.output
    assert len(list(killed.glob("predictions.parts-*/*.json"))) == 2
    again = predict("killed", count=2, workers=0)
    for children in (alone, both, again):
        assert set(children.wait()) == {0}, children.output
    assert "1 of 2 parts are there already" in again.output
    expected = (one / "predictions.json").read_bytes()
    assert len(expected) > 1000
    for folder in (two, killed):
        assert (folder / "predictions.json").read_bytes() == expected
        names = {path.name for path in folder.iterdir()}
        assert names == {"predictions.json", "predictions.origin.json"}
    of_one, of_two = (
        read_json(folder / "predictions.origin.json")["predict"] for folder in (one, two)
    )
    assert of_one["output_digest"] == of_two["output_digest"]
    assert "world_size" not in of_one
    assert of_two["world_size"] == 2
    assert of_two["timing"]["images"] == 3  # of five, by process 0
    assert of_two["timing"]["workers"] == 1
    assert "the model waited" in alone.output


def test_a_rank_that_fails_says_why_and_all_end(
    experiment: Experiment, predict: Callable[..., Children]
) -> None:
    children = predict("failing", failing_in_rank_1, count=2, workers=0)
    assert children.wait() == [2, 2], children.output
    assert any("stale file handle" in line for line in children.told), children.output
    assert not (experiment.folder / "failing" / "predictions.json").exists()


@pytest.mark.parametrize(
    ("cores", "images", "device", "processes", "workers", "threads"),
    [
        (Cores(1), 5000, "cpu", 1, 0, 1),
        (Cores(8), 5000, "cpu", 1, 0, 8),
        (Cores(1, workers=1), 5, "cpu", 1, 1, 1),
        (Cores(8), 49, "cuda", 1, 0, 8),
        (Cores(8), 50, "cuda", 1, 7, 1),
        (Cores(64), 625, "cuda", 8, 7, 1),
        (Cores(8, workers=3), 5000, "cuda", 1, 3, 5),
        (Cores(1), 5000, "cuda", 1, 0, 1),
        (Cores(4), 5000, "cuda", 8, 0, 1),
    ],
)
def test_how_cores_are_shared(
    cores: Cores, images: int, device: str, processes: int, workers: int, threads: int
) -> None:
    assert cores.workers_of(images, device, processes) == workers
    assert cores.threads(workers, device, processes) == threads
