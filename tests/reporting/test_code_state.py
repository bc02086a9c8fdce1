"""Which records tell of today's code, and which of other code."""

import shutil
from pathlib import Path

import pytest
from made_up_metrics import make_record
from pydantic import ValidationError

from pointrend_repro.base.own_code import PACKAGE_DIR, modules_digest, package_digest
from pointrend_repro.base.provenance import start_record
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.results import Record


@pytest.fixture
def package(tmp_path: Path) -> Path:
    copy = tmp_path / "pointrend_repro"
    shutil.copytree(PACKAGE_DIR, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_a_step_of_this_process_is_of_today_until_what_it_loaded_changes(package: Path) -> None:
    record = Record.model_validate(start_record(settings={}, seed=None, device="cpu")())
    assert TodaysCode().has_run(record)
    (package / "modeling/another_family.py").write_text("x = 1\n")
    with_another = TodaysCode(package)
    assert with_another.digest != TodaysCode().digest
    assert with_another.has_run(record)
    changed = package / "base/provenance.py"
    changed.write_text(changed.read_text() + "# changed\n")
    assert not TodaysCode(package).has_run(record)


def test_older_records_are_of_today_while_nothing_has_changed(package: Path) -> None:
    record = Record.model_validate(make_record(code_digest=package_digest()))
    assert record.code_modules is None
    assert TodaysCode().has_run(record)
    assert not TodaysCode().has_run(Record.model_validate(make_record()))
    (package / "modeling/another_family.py").write_text("x = 1\n")
    assert not TodaysCode(package).has_run(record)


def test_the_names_and_the_digest_belong_together() -> None:
    names = ["pointrend_repro", "pointrend_repro.base.names"]
    told = {"code_modules": names, "code_digest": modules_digest(names)}
    assert TodaysCode().has_run(Record.model_validate(make_record(**told)))
    fewer = told | {"code_modules": names[:1]}
    assert not TodaysCode().has_run(Record.model_validate(make_record(**fewer)))


def test_a_training_that_continued_other_code_is_not_of_today() -> None:
    names = ["pointrend_repro", "pointrend_repro.base.names"]
    today = {"code_modules": names, "code_digest": modules_digest(names)}
    code = TodaysCode()

    def others(*parts: dict[str, object]) -> list[str]:
        told = make_record(**today, continued_from=[{"iterations": 3} | p for p in parts])
        return code.others(Record.model_validate(told))

    assert others() == others(today) == []
    assert others(today | {"code_digest": "abcdefabcdef"}, today) == ["abcdefabcdef"]
    assert others({}) == ["unknown"]  # of a checkpoint of before records were kept in them


@pytest.mark.parametrize("name", ["../../etc/passwd", "pointrend_repro./etc/passwd", "", "a..b"])
def test_names_that_would_lead_out_of_the_package_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Record.model_validate(make_record(code_modules=[name]))
