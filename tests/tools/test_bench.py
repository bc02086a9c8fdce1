"""The benchmark runner: turns, ratios, memory, what is not installed; and that each case runs."""

from pathlib import Path

import pytest
import torch

from pointrend_repro.base.errors import UserError
from pointrend_repro.commands.bench import summary
from pointrend_repro.tools.bench.case import Case, choose_cases, describe_case, make_case
from pointrend_repro.tools.bench.memory import additional_peak_mb
from pointrend_repro.tools.bench.results import run_case
from pointrend_repro.tools.bench.timing import measure_times

# Ours fills 8 MB and the other side 32 MB, on top of 16 MB of input.
FILLING = '''
"""Fills memory.

More text.
"""
import torch
from pointrend_repro.tools.bench.case import Case, NotInstalled

def filling(size, megabytes):
    given = torch.ones(2 * 2**20)
    count = megabytes * 2**18 if size == "full" else 1
    return lambda: torch.ones(count)

def missing():
    raise NotInstalled("somebody")

def make(size, device):
    return Case(
        settings={"device": device},
        sides={
            "ours": lambda: filling(size, 8),
            "theirs": lambda: filling(size, 32),
            "others": missing,
        },
        compare=lambda ours, theirs: {"ratio of sizes": len(theirs) / len(ours)},
    )
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "filling.py").write_text(FILLING)
    return tmp_path


def test_sides_take_turns_after_one_run_that_is_compared() -> None:
    ran: list[str] = []

    def side(name: str):
        return lambda: lambda: ran.append(name) or torch.zeros(len(ran))

    case = Case(
        settings={},
        sides={name: side(name) for name in "abc"},
        compare=lambda ours, theirs: {"sizes": len(ours) * 10 + len(theirs)},
    )
    times = measure_times(case, rounds=2, device="cpu")
    assert "".join(ran) == "abc" * 3
    assert times.differences == {"b": {"sizes": 12}, "c": {"sizes": 13}}
    assert {name: len(seconds) for name, seconds in times.seconds.items()} == dict.fromkeys(
        "abc", 2
    )


def test_outputs_that_differ_too_much_are_not_measured() -> None:
    def compare(ours: int, theirs: int) -> dict[str, float]:
        assert ours == theirs
        return {}

    case = Case(
        settings={}, sides={"a": lambda: lambda: 1, "b": lambda: lambda: 2}, compare=compare
    )
    with pytest.raises(AssertionError):
        measure_times(case, rounds=1, device="cpu")


def test_a_record_says_what_is_not_installed_and_compares_the_rest(folder: Path) -> None:
    record = run_case("filling", rounds=3, folder=folder)
    assert record["sides"]["others"] == {"status": "not measured: somebody is not installed"}
    ours, theirs = (record["sides"][s] for s in ("ours", "theirs"))
    assert 8 <= ours["additional_peak_mb"] < 14
    assert 32 <= theirs["additional_peak_mb"] < 38
    ratio = record["ratios"]["theirs"]
    assert ratio["memory"] == pytest.approx(4, abs=1)
    assert ratio["differences"] == {"ratio of sizes": 4}
    time = ratio["time"]
    assert 0 < time["lowest"] <= time["median"] <= time["highest"]
    assert record["rounds"] == 3
    assert {"cpu", "cores", "threads", "versions", "git_commit", "settings"} <= set(record)
    text = "\n".join(summary(record))
    assert "somebody is not installed" in text
    assert f"{time['median']:.2f} x the time" in text


def test_inputs_are_not_counted_as_memory_of_a_run(folder: Path) -> None:
    (folder / "cases" / "nothing.py").write_text(
        FILLING.replace("return lambda: torch.ones(count)", "return lambda: None")
    )
    measured = additional_peak_mb(folder, "nothing", device="cpu", threads=1, side="theirs")
    assert measured < 2


def test_cases_are_chosen_by_name(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert choose_cases(None, folder) == ["filling"]
    assert choose_cases(["filling"], folder) == ["filling"]
    assert describe_case("filling", folder) == "Fills memory."
    with pytest.raises(UserError, match="no benchmark 'falling'; did you mean 'filling'"):
        choose_cases(["falling"], folder)
    with pytest.raises(UserError, match="no benchmarks here"):
        choose_cases(None, tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("name", choose_cases(None))
def test_each_case_runs_at_its_tiny_size(name: str) -> None:
    times = measure_times(make_case(name, "tiny", "cpu"), rounds=1, device="cpu")
    ours = next(iter(times.seconds))
    assert set(times.differences) == set(times.seconds) - {ours}
    assert not {ours} & set(times.left_out)
