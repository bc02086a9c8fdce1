"""Where the files of `config/` lie, for tests that edit or copy one."""

from pathlib import Path
from typing import Any

import yaml

from pointrend_repro.config.finding import find
from pointrend_repro.config.yaml_files import CONFIG_DIR

KINDS = {"presets": "preset", "variants": "variant", "datasets": "dataset", "tables": "table"}
CLAIMS = "papers/pointrend/claims"
PROTOCOL = "papers/pointrend/protocol"


def config_file(name: str, config_dir: Path = CONFIG_DIR) -> Path:
    """The file of `tables/table1`, whether it lies in that folder or in a paper's."""
    kind, _, key = name.partition("/")
    if kind in KINDS:
        return find(KINDS[kind], key, config_dir).path
    return config_dir / f"{name}.yaml"


def read_config(name: str, config_dir: Path = CONFIG_DIR) -> Any:
    return yaml.safe_load(config_file(name, config_dir).read_text())
