"""`pointrend-repro check-head`: does a mask head do what every head has to?"""

from typing import Annotated

import typer
from pydantic import ValidationError

from pointrend_repro.base.asked import read_pairs
from pointrend_repro.base.errors import UserError
from pointrend_repro.commands.options import Threads


def check_head(
    head: Annotated[str, typer.Argument(help="module:Class, or the name of an entry point")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, as in the variant's settings")
    ] = None,
    threads: Threads = 1,
) -> None:
    """Run the checks of this project's mask heads on one of your own."""
    from pointrend_repro.settings.heads import PluginHeadSettings

    try:
        values = {"kind": "plugin", "head": head, "settings": dict(read_pairs(settings or []))}
        chosen = PluginHeadSettings.model_validate(values)
    except ValidationError:
        raise UserError(f"mask head {head!r}: is neither module:Class nor a name") from None
    import torch

    from pointrend_repro.tools.conformance import CHECKS
    from pointrend_repro.tools.head_case import Case, NonConformingError

    torch.set_num_threads(threads)
    failed = 0
    for check in CHECKS:
        try:
            check(Case(chosen))
        except NonConformingError as problem:
            failed += 1
            print(f"FAILED {check.__doc__}\n       {problem}")
        else:
            print(f"ok     {check.__doc__}")
    if failed:
        raise UserError(f"mask head {head!r}: {failed} of {len(CHECKS)} checks failed")
