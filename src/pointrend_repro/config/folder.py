"""Where the pipeline's `config/` lies, unless a command is told otherwise."""

from pathlib import Path

from pointrend_repro.base.errors import UserError

CONFIG_DIR = Path(__file__).resolve().parents[3] / "config"


def require_config(config_dir: Path) -> None:
    """Refuse a folder that is not there, as beside a package that was installed without a clone.

    Raises:
        UserError: it is not there; the message says what to do.
    """
    if config_dir.is_dir():
        return
    if config_dir == CONFIG_DIR:
        raise UserError(
            "presets, papers, data sets and downloads are files of the project's git clone, which "
            "an installed package does not hold: run this in a clone (`git clone`, `make setup`), "
            "or name the `config` folder of one with --config-dir where the command has it"
        )
    raise UserError(f"{config_dir}: no such folder; it should be the `config` of a git clone")
