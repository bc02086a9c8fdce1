"""`pointrend-repro data check FOLDER`, and what the user may name in a folder of COCO's format."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from pointrend_repro.base.errors import UserError

if TYPE_CHECKING:
    from pointrend_repro.tools.survey.content import Split

TrainImages = Annotated[
    Path | None, typer.Option(help="the folder of the training images; none: found by their names")
]
ValImages = Annotated[
    Path | None,
    typer.Option(help="the folder of the validation images; none: found by their names"),
]


class CocoFiles(NamedTuple):
    """The COCO file of each split, and the folders of their images, as far as they are named."""

    train: Path | None
    val: Path | None
    train_images: Path | None
    val_images: Path | None

    @property
    def images(self) -> "dict[Split, Path]":
        """The folders of images that are named."""
        named: dict[Split, Path | None] = {"train": self.train_images, "val": self.val_images}
        return {split: folder for split, folder in named.items() if folder}


def check_folder(
    folder: Path,
    name: str,
    config_dir: Path | None,
    coco: CocoFiles,
    sample: int | None,
    written: tuple[Path | None, Path | None],
) -> None:
    """Print what a folder holds; write the data set's file to `config_dir`, if that is given.

    Args:
        written: the JSON of all findings, and the page of pictures.
    """
    from pointrend_repro.base.files import write_json
    from pointrend_repro.tools.survey.inspecting import as_data, inspect_folder, require_findings
    from pointrend_repro.tools.survey.mending.text import hint
    from pointrend_repro.tools.survey.text import to_text
    from pointrend_repro.tools.survey.writing import dataset_path, next_step, write_dataset

    output, pictures = written
    if output:
        require_findings(output)
    if pictures:
        from pointrend_repro.tools.survey.pictures import require_page, write_pictures

        require_page(pictures)
    path = dataset_path(name, config_dir) if config_dir else None
    train, val, images = coco.train, coco.val, coco.images
    try:
        survey = inspect_folder(folder, train=train, val=val, images=images, sample=sample)
    except UserError as error:
        raise UserError(f"{error}{hint(folder, train=train, val=val, images=images)}") from None
    print(to_text(survey))
    if output:
        write_json(output, as_data(survey))
    if pictures:
        write_pictures(survey, pictures)
        print(f"\nWritten: {pictures}, to look at")
    if survey.faults:
        end = hint(folder, train=train, val=val, images=images) or "; then say the same again"
        raise UserError(f"{folder}: {len(survey.faults)} to mend, named above{end}")
    if path:
        write_dataset(survey, path)
        print(f"\nWritten: {path}. Next: {next_step(name)}")
