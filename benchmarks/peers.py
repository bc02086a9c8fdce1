"""Importing what a benchmark compares with, where it is installed."""

import contextlib
import warnings
from collections.abc import Iterator

from pointrend_repro.tools.bench.case import NotInstalled


@contextlib.contextmanager
def importing_detectron2() -> Iterator[None]:
    """Let detectron2 be imported inside, without its warnings.

    Raises:
        NotInstalled: there is no detectron2.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it scripts functions, which torch advises against
            yield
    except ImportError as error:
        raise NotInstalled("detectron2") from error
