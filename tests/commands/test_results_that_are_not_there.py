"""What is made from results is not made from a folder that is not there, as after a mistyping."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pointrend_repro.base.errors import UserError
from pointrend_repro.cli import app

COMMANDS = ("collect", "claims", "report", "verify", "curves", "evidence")


def run(*arguments: object) -> UserError | None:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exception is None or isinstance(done.exception, UserError), done.output
    return done.exception


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("is_file", [True, False])
def test_a_folder_that_is_not_there_is_named(command: str, is_file: bool, tmp_path: Path) -> None:
    page = tmp_path / "reports/smoke/index.html"
    page.parent.mkdir(parents=True)
    page.write_text("finished")
    typed = tmp_path / "resluts"
    if is_file:
        typed.mkdir()
        (typed / "smoke").write_text("")
    more = {
        "report": ("--reports-dir", tmp_path / "reports"),
        "curves": ("--output", tmp_path / "reports/smoke/index.html"),
        "evidence": ("--docs", tmp_path / "reports"),
    }
    told = str(run(command, "--preset", "smoke", "--results-dir", typed, *more.get(command, ())))
    assert told.startswith(f"{typed}/smoke: no such folder; name by --results-dir the one in which")
    assert "\n" not in told
    assert page.read_text() == "finished"
    assert [p.name for p in tmp_path.rglob("*") if p.is_file() and p != page] == (
        ["smoke"] if is_file else []
    )


def test_a_folder_without_results_has_a_report_but_nothing_to_verify(tmp_path: Path) -> None:
    results = tmp_path / "results"
    (results / "smoke").mkdir(parents=True)
    where = ("--preset", "smoke", "--results-dir", results)
    assert run("collect", *where) is None
    assert run("report", *where, "--reports-dir", tmp_path / "reports") is None
    assert (tmp_path / "reports/smoke/index.html").exists()
    told = str(run("verify", *where))
    assert told == f"{results}/smoke: holds no model, prediction or score of preset smoke yet"
