"""Where the pipeline's `config/` lies, unless a command is told otherwise."""

from pathlib import Path

CONFIG_DIR = Path(__file__).resolve().parents[3] / "config"
