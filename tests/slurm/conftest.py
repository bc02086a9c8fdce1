"""One Slurm for all tests here that need one."""

from collections.abc import Iterator

import pytest
from cluster import Cluster, missing_programs, slurm_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real Slurm on this machine; the test is skipped where it is not installed."""
    if missing := missing_programs():
        pytest.skip(f"Slurm is not installed ({', '.join(missing)}); .ci/install-slurm does it")
    with slurm_cluster() as running:
        yield running
