"""The page of all pictures, which opens from disk: no server, no network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pointrend_repro.api.segment.naming import as_text
from pointrend_repro.api.segment.pictures import Picture
from pointrend_repro.base.files import write_text
from pointrend_repro.base.templates import page_templates
from pointrend_repro.base.texts import script_json

# The longer side of a thumbnail; twice what a page shows, for fine screens.
SMALL_PX = 480

# Of an object, what the page shows; masks are in the overlays.
_SHOWN = ("category_name", "score", "share")


def write_gallery(
    output: Path,
    models: Sequence[str],
    pictures: Sequence[Picture],
    outcomes: Sequence[Sequence[dict[str, Any]]],
    failed: Sequence[tuple[Path, str]],
) -> Path:
    """Write `index.html` beside the folders that `run.py` fills, and return its path.

    Args:
        models: names of one model, or of two.
        outcomes: of each model, for each picture.
        failed: pictures that could not be read, with the reason.
    """
    entries = [
        _entry(picture, [made[k] for made in outcomes]) for k, picture in enumerate(pictures)
    ]
    page, shown = output / "index.html", [as_text(name) for name in short_names(models)]
    text = (
        page_templates(Path(__file__).parent)
        .get_template("gallery.html.j2")
        .render(
            models=shown,
            entries=entries,
            failed=[(as_text(path), as_text(reason)) for path, reason in failed],
            cut=sum("frames" in entry for entry in entries),
            data=script_json(entries),
            models_json=script_json(shown),
            classes=_classes(entries),
        )
    )
    write_text(page, text)
    return page


def short_names(models: Sequence[str]) -> list[str]:
    """Return names of models without the folders that say nothing about one of them.

    Of `results/mini/coco/a/trial0/model.safetensors` and the same of `b`, `a` and `b` are left; of
    one file alone, its name and the two folders above.
    """
    paths = [Path(name).parts for name in models]
    if len(paths) < 2 or paths[0] == paths[1]:
        return ["/".join(parts[-3:]) for parts in paths]
    first, second = list(paths[0]), list(paths[1])
    while first and second and first[0] == second[0]:
        del first[0], second[0]
    while len(first) > 1 and len(second) > 1 and first[-1] == second[-1]:
        del first[-1], second[-1]
    return ["/".join(first), "/".join(second)]


def _entry(picture: Picture, outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    name = quote(picture.name)
    layers = [f"overlays/{name}.jpg", *(f"beside/overlays/{name}.jpg" for _ in outcomes[1:])]
    frames = outcomes[0].get("frames")
    return ({} if frames is None else {"frames": frames}) | {
        "title": as_text(picture.path.name),
        "width": outcomes[0]["width"],
        "height": outcomes[0]["height"],
        "picture": f"pictures/{name}.jpg",
        "thumbnail": f"thumbnails/{name}.jpg",
        "layers": layers,
        "found": [
            [
                {key: each[key] for key in _SHOWN if key in each}
                for each in made.get("objects", made.get("classes", []))
            ]
            for made in outcomes
        ],
    }


def _classes(entries: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return the classes with the number of pictures that show them, the most frequent first."""
    counts: dict[str, int] = {}
    for entry in entries:
        for name in {each["category_name"] for found in entry["found"] for each in found}:
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
