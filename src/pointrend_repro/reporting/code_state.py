"""Steps that other code than today's has run: each record against the package as it is now."""

from functools import cache
from pathlib import Path

from pointrend_repro.base import own_code
from pointrend_repro.reporting.earlier_runs import EarlierRun
from pointrend_repro.reporting.results import Record


class TodaysCode:
    """The package's code as it is now.

    Attributes:
        digest: of all code that a number can depend on.
    """

    def __init__(self, package_dir: Path = own_code.PACKAGE_DIR) -> None:
        self.digest = own_code.package_digest(package_dir)
        self._of_modules = cache(lambda modules: own_code.modules_digest(modules, package_dir))

    def has_run(self, record: Record) -> bool:
        """Whether a step ran through this code, as did the runs that it continued."""
        return not self.others(record)

    def others(self, record: Record) -> list[str]:
        """Return the digests of other code that a step, or a run that it continued, ran through."""
        of_runs: list[Record | EarlierRun] = [*(record.continued_from or ()), record]
        return [run.code_digest for run in of_runs if not self.is_of(run)]

    def is_of(self, run: Record | EarlierRun) -> bool:
        """Whether one run is of this code: the modules that it had loaded are as they were.

        A record that names no modules has a digest of the whole package.
        """
        modules = run.code_modules
        return run.code_digest == (self.digest if modules is None else self._of_modules(modules))
