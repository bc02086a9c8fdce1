"""The authors' DeepMask and SharpMask: a file of their layout becomes a model that does the same.

Their own files could not be had here, so that this is the layout as their code writes it, and not
as it was found in a file (deepmask_t7.py).
"""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from deepmask_t7 import Layout, parts_of, random_numbers, run, stand_ins
from torch import Tensor
from torch7_writer import Made, torch7_file
from typer.testing import CliRunner

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.fit import known_shapes
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.checkpoints.loading import convert, load_known_model, load_own_file
from pointrend_repro.checkpoints.reading import read_checkpoint
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.checkpoints.torch7 import Record
from pointrend_repro.checkpoints.torch7_names import from_torch7
from pointrend_repro.cli import app
from pointrend_repro.settings.deepmask import DeepMaskModelSettings

SIDE = 64  # of the narrow patches, with 16 pixels of context on each side
NARROW = DeepMaskModelSettings.model_validate(
    {
        "backbone": {"name": "resnet18_narrow"},
        "patch_px": SIDE,
        "feature_channels": 8,
        "bottleneck_channels": 24,
        "score_channels": 20,
        "mask_resolution": 6,
    }
)
OF_CODE = {
    "k": 16,
    "skip_channels": [12, 12, 12, 10],
    "extra_vertical_conv": True,
    "upsampling": "nearest",
}


def written(folder: Path, model: Made) -> Path:
    path = folder / "model.t7"
    path.write_bytes(torch7_file({"model": model, "config": {"iSz": SIDE}}, on_gpu=True))
    return path


def loaded(path: Path, **settings: Any) -> Any:
    checkpoint = read_checkpoint(path)
    assert checkpoint.source == "model"
    model = build_model(NARROW.model_validate(NARROW.model_dump() | settings), num_classes=1)
    model.load_state_dict(checkpoint.tensors)
    return model.eval()


def patch() -> Tensor:
    return torch.rand(2, 3, SIDE + 32, SIDE + 32) * 255


def as_the_code_sees(pixels: Tensor) -> Tensor:
    """In 0 to 1 less the mean, divided by the deviation (computeProposals.lua, DataSampler.lua)."""
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    return (pixels / 255 - mean) / std


def cropped(maps: Tensor, module: int) -> Tensor:
    cells = 2**module
    return maps[:, :, cells:-cells, cells:-cells]


def close(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_deepmask_does_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = Layout(random_numbers, narrow=True).deepmask()
    ours = loaded(written(tmp_path, theirs))
    pixels = patch()
    with torch.no_grad():
        vectors = run(theirs.fields["trunk"], as_the_code_sees(pixels))
        masks = run(parts_of(theirs.fields["maskBranch"])[0], vectors)
        last = cropped(ours.features(pixels)[0], 0)
        reduced, found = ours.bottleneck(last)
        scores = ours.score_head(last, reduced, found)
    assert close(found[:, :, 0, 0], vectors)
    assert close(ours.coarse_masks(vectors), masks.reshape(2, 6, 6))
    assert close(scores.flatten(), run(theirs.fields["scoreBranch"], vectors).flatten())


def test_sharpmask_does_the_same(tmp_path: Path) -> None:
    """In training, where the horizontal nets crop the context from the trunk's maps."""
    torch.manual_seed(1)
    theirs = Layout(random_numbers, narrow=True).sharpmask()
    ours = loaded(written(tmp_path, theirs), refinement=OF_CODE)
    pixels = patch()
    with torch.no_grad():
        x = as_the_code_sees(pixels)
        outputs = {}
        for place, part in theirs.fields["trunk"].fields["modules"].items():
            x = outputs[place] = run(part, x)
        refs, places = theirs.fields["refs"], theirs.fields["skpos"]
        masks = run(refs[0], x)
        for i in range(1, 5):
            masks = run(refs[i], [outputs[places[i]], masks])
        features = [cropped(maps, i) for i, maps in enumerate(ours.features(pixels))]
        vectors = ours.bottleneck(features[0])[1][:, :, 0, 0]
        found = ours.refinement(vectors, ours.refinement.skips(features))
    assert close(found, masks.reshape(2, SIDE, SIDE))


def test_convolutions_with_a_bias_before_their_norm(tmp_path: Path) -> None:
    """fb.resnet.torch removes it only for cuDNN 4 and later."""
    theirs = Layout(random_numbers, narrow=True).deepmask()
    conv1 = parts_of(parts_of(theirs.fields["trunk"])[0])[1]
    conv1.fields["bias"] = torch.randn(16)
    ours = loaded(written(tmp_path, theirs))
    pixels = patch()
    with torch.no_grad():
        expected = run(theirs.fields["trunk"], as_the_code_sees(pixels))
        _, found = ours.bottleneck(cropped(ours.features(pixels)[0], 0))
    assert close(found[:, :, 0, 0], expected)


def as_records(made: Any) -> Any:
    """What the reader makes of it."""
    if isinstance(made, Made):
        return Record(made.kind, {key: as_records(value) for key, value in made.fields.items()})
    if isinstance(made, dict):
        return {key: as_records(value) for key, value in made.items()}
    return made


@pytest.mark.parametrize(
    ("name", "kind", "parameters"),
    [
        ("deepmask_r50_coco", "deepmask", 17_333_121),
        ("sharpmask_r50_coco", "sharpmask", 17_333_121 + 2_750_535),
    ],
)
def test_at_full_width_it_fits_the_known_model(name: str, kind: str, parameters: int) -> None:
    """The numbers are those that the code prints (facts, from its constructors)."""
    model = getattr(Layout(stand_ins), kind)()
    found = from_torch7(Path("model.t7"), as_records({"model": model, "config": {}}))
    assert {name: tuple(t.shape) for name, t in found.items()} == known_shapes(name)
    assert sum(t.numel() for name, t in found.items() if ".norm." not in name) == parameters


def refusal(content: Any) -> str:
    with pytest.raises(UserError) as error:
        from_torch7(Path("model.t7"), as_records(content))
    assert "\n" not in str(error.value)
    return str(error.value)


def without(place: str, changed: Any = None) -> Any:
    """A small SharpMask in which something has been put in a place, such as `trunk 5 1`."""
    model = Layout(stand_ins, narrow=True).sharpmask()
    *outer, last = place.split()
    where: Any = model.fields
    for name in outer:
        inside = where[int(name) if name.isdigit() else name]
        where = inside if isinstance(inside, dict) else inside.fields.get("modules", inside.fields)
    where[int(last) if last.isdigit() else last] = changed
    return {"model": model}


def test_other_content_is_refused_by_its_place() -> None:
    assert "`model` is neither" in refusal({"model": Made("nn.Sequential", {})})
    assert "`model` is neither" in refusal([1, 2])
    assert "trunk has no list of modules" in refusal(without("trunk"))
    assert "trunk has something else among its modules" in refusal(without("trunk 5", 3))
    assert "trunk.5 has no list of modules" in refusal(without("trunk 5", Made("nn.ReLU")))
    assert "mask branch has no list" in refusal(without("maskBranchDM", Made("nn.Copy")))
    assert "scoreBranch has not two" in refusal(without("scoreBranch 2", Made("nn.Copy")))
    assert "`neths` is not a table" in refusal(without("neths", 1))
    assert "neths.2 has no list of modules" in refusal(without("neths 2"))
    assert "netvs.3 has 1 convolutions" in refusal(without("netvs 3 2", Made("nn.Copy")))
    assert "refs.4 has not one" in refusal(without("refs 4 6", Made("nn.Copy")))
    no_weight = Made("nn.Linear", {"bias": torch.zeros(24)})
    assert "bottleneck.low_rank has no tensor `weight`" in refusal(without("trunk 12", no_weight))


def test_modules_inside_themselves_end() -> None:
    content = {"model": Record("nn.DeepMask", {"trunk": _record_loop()})}
    with pytest.raises(UserError, match="deep"):
        from_torch7(Path("model.t7"), content)


def _record_loop() -> Record:
    loop = Record("nn.Sequential", {})
    loop.fields["modules"] = dict.fromkeys(range(1, 13), loop)
    return loop


def test_the_command_converts_a_file_into_one_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `convert model.t7 model.safetensors --model sharpmask_r50_coco`, of a narrow model."""
    narrow = NARROW.model_validate(NARROW.model_dump() | {"refinement": OF_CODE})
    known = dataclasses.replace(KNOWN_MODELS["sharpmask_r50_coco"], model=narrow)
    monkeypatch.setitem(KNOWN_MODELS, "narrow_sharpmask", known)
    torch.manual_seed(2)
    source = written(tmp_path, Layout(random_numbers, narrow=True).sharpmask())
    target = tmp_path / "model.safetensors"
    done = CliRunner().invoke(
        app, ["convert", str(source), str(target), "--model", "narrow_sharpmask"]
    )
    assert done.exit_code == 0, done.output
    ours, theirs = load_own_file(target), load_known_model("narrow_sharpmask", source)
    assert ours.model.settings == narrow
    assert ours.categories == [(1, "object")]
    state = ours.model.state_dict()
    for name, tensor in theirs.model.state_dict().items():
        assert torch.equal(state[name], tensor)
    with pytest.raises(UserError, match="detectron2 has no model like narrow_sharpmask"):
        convert(source, tmp_path / "model.pkl", "narrow_sharpmask")
    with pytest.raises(UserError, match=r"does not fit deepmask_r50_coco.*looks like"):
        load_known_model("deepmask_r50_coco", source)
