"""What was found in all pictures, as COCO's results, and what their numbers mean."""

from collections.abc import Sequence
from typing import Any

from pointrend_repro.api.loading import Model
from pointrend_repro.api.segment.pictures import Picture
from pointrend_repro.api.segment.places import Place
from pointrend_repro.base.files import write_errors, write_json


def write_results(
    model: Model, pictures: Sequence[Picture], outcomes: Sequence[dict[str, Any]], place: Place
) -> None:
    """Write COCO's results, and the images and categories that their numbers mean.

    Args:
        outcomes: of each picture.

    Raises:
        UserError: they cannot be written.
    """
    results = [
        {"image_id": number, "file_name": made["file_name"]} | entry
        for number, made in enumerate(outcomes, start=1)
        for entry in made.get("objects", [])
    ]
    shown = ("file_name", "width", "height", "frames", "classes")
    images = [
        {"id": number, "name": picture.name} | {key: made[key] for key in shown if key in made}
        for number, (picture, made) in enumerate(zip(pictures, outcomes, strict=True), start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in model.categories]
    document = {"images": images, "categories": categories}
    if any("objects" in made for made in outcomes):
        write_json(place.images, document)
        write_json(place.results, results, indent=None)
    else:  # those of an earlier model number other images
        with write_errors(place.results):
            place.results.unlink(missing_ok=True)
        write_json(place.images, document)
