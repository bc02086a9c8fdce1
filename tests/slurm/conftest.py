"""One Slurm for all tests here that need one, and what they compare with."""

from collections.abc import Iterator

import pytest
from cluster import Cluster, missing_programs, slurm_cluster
from piloted_run import make_small_copy

from working_copy import WorkingCopy


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real Slurm on this machine; the test is skipped where it is not installed."""
    if missing := missing_programs():
        pytest.skip(f"Slurm is not installed ({', '.join(missing)}); .ci/install-slurm does it")
    with slurm_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    """The experiments of the disturbed runs, trained here and in one go."""
    copy = make_small_copy(tmp_path_factory.mktemp("undisturbed") / "copy", gpu=False)
    done = copy.snakemake("--cores", "2", "--quiet", "all")
    assert done.returncode == 0, done.stderr
    return copy
