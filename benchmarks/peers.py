"""What a benchmark compares with, where this machine has it."""

import contextlib
import warnings
from collections.abc import Iterator

from pointrend_repro.modeling.precision import cpu_computes_in_bfloat16
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


def require_bfloat16(device: str) -> None:
    """Require that the device computes in bfloat16: emulated, a step took 15 times as long.

    Raises:
        NotInstalled: it is a CPU that does not.
    """
    if device == "cpu" and not cpu_computes_in_bfloat16():
        raise NotInstalled("a CPU with bfloat16")
