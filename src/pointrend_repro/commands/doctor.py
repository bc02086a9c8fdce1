"""`pointrend-repro doctor`: what is here, and what is missing for each preset."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from pointrend_repro.commands.options import ConfigDir, DataDir, Papers, a_name
from pointrend_repro.config.folder import CONFIG_DIR

_WIDTH = 22


def doctor(
    preset: Annotated[
        str | None,
        typer.Option(help="only look at this one; the exit code says if it can", callback=a_name),
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="your folder with COCO")] = None,
    cityscapes_root: Annotated[
        Path | None, typer.Option(help="your folder with Cityscapes")
    ] = None,
    papers: Papers = "",
    data_dir: DataDir = Path("data"),
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Show versions, GPU, memory, disk, data and weights, and what each preset still needs.

    Exit code: 0, or 1 if the preset that is asked for cannot run. Nothing is started or fetched.
    """
    from pointrend_repro.pipeline.doctor.machine import machine_lines

    _section("This machine", lambda: machine_lines(Path()))
    _section("Data and weights", lambda: _downloads(data_dir, config_dir))
    own = {"coco": data_root, "cityscapes": cityscapes_root}
    ready = _section("Presets", lambda: _presets(preset, papers, own, config_dir))
    if preset is not None and not ready:
        raise typer.Exit(1)


def _section(title: str, lines: Callable[[], Iterable[tuple[str, str]]]) -> bool:
    """Print a section line by line; whatever goes wrong is a line of it.

    Returns:
        Whether nothing in it is missing or went wrong.
    """
    print(f"{title}:")
    ready = True
    try:
        for name, told in lines():
            print(f"  {name:{_WIDTH}} {told}", flush=True)
            ready &= not told.startswith("cannot run")
    except Exception as error:  # a machine with a fault is what this command is for
        print(f"  {'cannot be told':{_WIDTH}} {type(error).__name__}: {error}")
        ready = False
    print()
    return ready


def _downloads(data_dir: Path, config_dir: Path) -> Iterable[tuple[str, str]]:
    from pointrend_repro.data.fetch.catalogue import load_catalogue
    from pointrend_repro.data.fetch.planning import presence

    absent: dict[str, None] = {}  # groups of weights by their name alone
    for name, download in load_catalogue(config_dir).downloads.items():
        state = presence(data_dir, download)
        if state == "not there":
            absent[download.group or name] = None
        else:
            yield name, f"{state}: {data_dir / download.into}"
    if absent:
        yield "not there", f"{', '.join(absent)} (`pointrend-repro data fetch --list`)"


def _presets(
    asked: str | None, papers: str, own: Mapping[str, Path | None], config_dir: Path
) -> Iterable[tuple[str, str]]:
    from pointrend_repro.config.finding import files_of
    from pointrend_repro.config.papers import paper_names
    from pointrend_repro.data.fetch.catalogue import load_catalogue
    from pointrend_repro.pipeline.doctor.presets import Here, fills_tables, needs_of
    from pointrend_repro.pipeline.planning.published import load_speeds

    here = Here(
        config_dir,
        load_catalogue(config_dir),
        load_speeds(config_dir),
        {layout: folder for layout, folder in own.items() if folder},  # type: ignore[misc]
        paper_names(papers),
    )
    for name in [asked] if asked else files_of("preset", config_dir):
        if not asked and here.papers and not fills_tables(name, here):
            continue
        needs = needs_of(name, here)
        state = "can run" if not needs.missing else "cannot run; it needs:"
        fetched = f"; fetches {', '.join(needs.fetched)}" if needs.fetched else ""
        yield name, f"{state}{'' if needs.missing else fetched}"
        yield from (("", f"- {what}") for what in needs.missing)
