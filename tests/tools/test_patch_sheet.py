"""The picture of a training's patches: the ones that the training sees, and for it alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.commands.data import show
from pointrend_repro.data.batches import MicroBatches, training_batches
from pointrend_repro.declarations.family import family_of
from pointrend_repro.settings.deepmask import DeepMaskModelSettings
from pointrend_repro.settings.deepmask_training import DeepMaskTrainingSettings
from pointrend_repro.settings.schedule import ScheduleSettings
from pointrend_repro.tools.patch_sheet import write_patch_sheet
from small_experiment import CocoBuilder, read_train_split, small_settings


def test_it_shows_what_the_training_sees(coco_builder: CocoBuilder, tmp_path: Path) -> None:
    settings = DeepMaskTrainingSettings(
        model=DeepMaskModelSettings(patch_px=64, context_px=16),
        schedule=ScheduleSettings(total_iters=9),
    )
    dataset = read_train_split(coco_builder())
    path = tmp_path / "patches.png"
    drawn = write_patch_sheet(path, settings, dataset, seed=4, iteration=2, count=10)
    assert drawn == 10
    with Image.open(path) as image:
        sheet = np.asarray(image)
    assert sheet.shape == (2 * (96 + 14 + 4), 8 * (96 + 4), 3)
    family = family_of(settings)
    batch = next(
        training_batches(
            dataset.images,
            family.example_maker(settings, dataset.images),
            micro_batches=MicroBatches(32, 32),
            seed=4,
            iterations=range(2, 3),
            workers=0,
            by_shape=False,
        )
    )
    # The context of the second row's first patch, which nothing is drawn on.
    patch = batch.micro_batches[0].images[8][0].numpy()
    row = sheet[114 : 114 + 96, :96].transpose(2, 0, 1)
    np.testing.assert_array_equal(row[:, :16], patch[:, :16])


def test_the_command_shows_a_papers_training(
    coco_builder: CocoBuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "patches.png"
    show(
        preset="smoke",
        dataset="generated_coco",
        variant="sharpmask_deepmask_r50",
        output=path,
        count=3,
        data_root=coco_builder(),
    )
    assert capsys.readouterr().out == f"{path}: 3 patches\n"
    with Image.open(path) as image:
        assert image.size == (3 * (96 + 4), 96 + 14 + 4)


def test_a_training_without_patches_is_refused(coco_builder: CocoBuilder, tmp_path: Path) -> None:
    dataset = read_train_split(coco_builder())
    with pytest.raises(UserError, match="models of family mask_rcnn are not trained on patches"):
        write_patch_sheet(
            tmp_path / "x.png", small_settings(), dataset, seed=0, iteration=0, count=1
        )
    assert not (tmp_path / "x.png").exists()
