"""The metric file, which every step that ends in numbers writes."""

from pathlib import Path
from typing import Any

from pointrend_repro.base.digests import result_digest
from pointrend_repro.base.files import write_json


def write_result(output: Path, result: dict[str, Any], record: dict[str, Any]) -> None:
    """Write a metric file; its evaluation's record gets the digest of the numbers."""
    record = record | {"output_digest": result_digest(result)}
    write_json(output, result | {"origin": result["origin"] | {"evaluate": record}})
