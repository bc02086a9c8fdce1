"""A metric, and a number of it, as files of the configuration name them.

A table names one key of a metric for each column. Whether there is such a key must be known when
the table is read, and not after the last training, so the keys are declared (`declarations/`).
"""

from typing import Annotated

from pydantic import AfterValidator

from pointrend_repro.base.errors import UserError
from pointrend_repro.declarations.metric import METRICS, Metric


def _known(name: str) -> str:
    _declared(name)
    return name


def _declared(name: str) -> Metric:
    try:
        return METRICS.find(name)
    except UserError as error:
        raise ValueError(str(error)) from None  # pydantic tells where it stands


MetricName = Annotated[str, AfterValidator(_known)]


def require_key(name: str, key: str, unit: str) -> None:
    """Refuse a key that a metric does not have, or has in another unit.

    Raises:
        ValueError: the message names the keys that there are.
    """
    keys = _declared(name).keys
    if key not in keys:
        raise ValueError(f"metric {name} has no key {key!r}; it has {', '.join(keys)}")
    if unit != keys[key]:
        raise ValueError(f"{key} of metric {name} is in {keys[key]}, not in {unit!r}")
