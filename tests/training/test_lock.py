"""Two trainings in one folder: the second is refused, and a dead one keeps nobody out."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from limits import lowered
from pointrend_repro.base.errors import UserError
from pointrend_repro.training.lock import only_training_in

HOLDER = """
import os, sys
from pathlib import Path
from pointrend_repro.training.lock import only_training_in
with only_training_in(Path(sys.argv[1])):
    child = os.fork()  # as a loader's process, which may outlive this one
    if child:
        print(child, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that trains in the folder, so to say, with another that loads its images."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.kill()


def test_the_second_is_refused_until_the_first_is_dead(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    assert holder.stdout is not None
    loader = int(holder.stdout.readline())
    with pytest.raises(UserError, match=f"another training is at work here, process {holder.pid}"):
        only_training_in(tmp_path).__enter__()
    holder.kill()
    holder.wait()
    os.kill(loader, 0)  # still there
    with only_training_in(tmp_path):
        assert (tmp_path / "training.lock").read_text().startswith(f"{os.getpid()} on ")


def test_it_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with only_training_in(tmp_path / "new"):
            pass


def test_a_full_disk_is_told_in_a_line(tmp_path: Path) -> None:
    told = pytest.raises(UserError, match=r"training\.lock: cannot be written")
    with lowered(resource.RLIMIT_FSIZE, 0), told, only_training_in(tmp_path):
        pass
    with only_training_in(tmp_path):
        pass
