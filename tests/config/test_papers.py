"""A paper is a folder: what it adds, what it leaves alone, and what is refused."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config_files import CLAIMS, config_file, read_config
from made_up_paper import MODEL, NAME, add_paper, claim, config_with_paper, write
from pointrend_repro.base.errors import UserError
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.papers import list_papers, load_paper, paper_names
from pointrend_repro.config.reading import load_dataset, load_preset, load_table, load_variant
from pointrend_repro.data.paths import UserData
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid, load_grid_of
from pointrend_repro.pipeline.workflow import read_workflow_config
from pointrend_repro.reporting.claims.schema import load_claims
from pointrend_repro.reporting.comparison.reading import load_grid_of_all
from pointrend_repro.settings.identity import settings_digest

OWN = f"{NAME}_{MODEL}"


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    return config_with_paper(tmp_path / "config")


def refusal(do: Callable[[], object]) -> str:
    with pytest.raises(UserError) as told:
        do()
    assert "\n" not in str(told.value)
    return str(told.value)


def edit(path: Path, *keys: Any, value: Any) -> None:
    content = yaml.safe_load(path.read_text())
    part = content
    for key in keys[:-1]:
        part = part.setdefault(key, {})
    part[keys[-1]] = value
    write(path, content)


def digests(grid: Grid) -> dict[tuple[str, str], str]:
    pairs = {(t.dataset, t.variant) for t in grid.trainings}
    return {pair: settings_digest(grid.training_settings(*pair)) for pair in pairs}


# --- what it adds ----------------------------------------------------------------------------


def test_a_folder_is_all_that_a_paper_needs(config_dir: Path) -> None:
    assert list_papers(config_dir) == sorted([NAME, *list_papers()])
    grid = load_grid("smoke", config_dir, papers=[NAME])
    assert list(grid.tables) == [f"{NAME}_table1"]
    assert grid.paper_of(f"{NAME}_table1").about.short_title == "Made-Up"
    trained = {training.variant for training in grid.trainings}
    assert trained == {OWN, "pointrend_r50_fpn"}
    assert f"generated_coco/{OWN}/trial0/default/coco_ap.json" in {e.path for e in grid.evaluations}
    assert grid.preset.figures == []
    assert "curves" in grid.preset.pictures
    assert "comparison" not in grid.preset.pictures
    (config_dir / "claims.yaml").unlink()  # which is about tables of no paper
    claims = load_claims(config_dir, list(grid.papers))
    assert {name: c.table for name, c in claims.claims.items()} == {
        f"{NAME}_best": f"{NAME}_table1"
    }


@pytest.mark.parametrize("preset", ["smoke", "paper", "tiny"])
def test_nothing_changes_for_another_paper(config_dir: Path, preset: str) -> None:
    before, after = load_grid(preset), load_grid(preset, config_dir)
    assert after.cells == before.cells
    assert after.tables == before.tables
    assert digests(after) == digests(before)
    papers = list(after.papers)
    assert load_claims(config_dir, papers) == load_claims(CONFIG_DIR, papers)


def test_files_of_the_same_names_do_not_meet(config_dir: Path) -> None:
    alone, both = load_grid("paper"), load_grid("paper", config_dir, papers=["pointrend", NAME])
    assert set(both.tables) == {*alone.tables, f"{NAME}_table1"}
    added = {e.path for e in both.evaluations} - {e.path for e in alone.evaluations}
    assert added == {f"coco/{OWN}/trial{k}/default/coco_ap.json" for k in range(3)}
    assert digests(alone).items() < digests(both).items()
    ours, theirs = (both.training_settings("coco", name) for name in (OWN, MODEL))
    assert ours.model == theirs.model
    assert (ours.optimizer.weight_decay, theirs.optimizer.weight_decay) == (0.0005, 1e-4)
    assert (ours.schedule.total_iters, theirs.schedule.total_iters) == (160_000, 90_000)


def test_what_stands_for_a_data_set_is_trained_on_alike(config_dir: Path) -> None:
    grid = load_grid("smoke", config_dir, papers=[NAME])
    settings = grid.training_settings("generated_coco", OWN)
    assert settings.optimizer.weight_decay == 0.0005
    assert settings.schedule.total_iters == 12  # the preset's


def test_a_job_finds_its_experiment_whatever_was_chosen(config_dir: Path) -> None:
    chosen = load_grid("smoke", config_dir, papers=[NAME])
    for variant in (OWN, "pointrend_r50_fpn", "semantic_fpn_r101"):
        dataset = "generated_coco" if variant in chosen.variants else "generated_cityscapes"
        grid = load_grid_of("smoke", dataset, variant, config_dir)
        assert variant in grid.variants
        if variant in chosen.variants:
            ours, theirs = (g.training_settings(dataset, variant) for g in (grid, chosen))
            assert ours == theirs
    told = refusal(lambda: load_grid_of("smoke", "generated_coco", "nothing", config_dir))
    assert "has no experiment of variant 'nothing' on data set 'generated_coco'; it has: " in told
    assert f", {OWN} on generated_coco, " in told


# --- names -----------------------------------------------------------------------------------


def test_a_name_of_two_files_is_refused(config_dir: Path) -> None:
    shutil.copy(config_file(f"variants/{MODEL}"), config_dir / f"variants/{MODEL}.yaml")
    assert refusal(lambda: load_grid("smoke", config_dir)) == (
        f"{config_dir}/variants/{MODEL}.yaml and "
        f"{config_dir}/papers/pointrend/models/{MODEL}.yaml are both variant {MODEL!r}"
    )


def test_papers_without_a_prefix_collide(config_dir: Path) -> None:
    add_paper(config_dir, "other", prefix="")
    told = refusal(lambda: load_table("table1", config_dir))
    assert "papers/other/tables/table1.yaml and " in told
    assert "papers/pointrend/tables/table1.yaml are both table 'table1'" in told


def test_claims_of_one_name_are_refused(config_dir: Path) -> None:
    write(config_dir / "claims.yaml", {"points_saturate": read_config(CLAIMS)["points_saturate"]})
    told = refusal(lambda: load_claims(config_dir))
    assert "papers/pointrend/claims.yaml and " in told
    assert told.endswith("config/claims.yaml both have claim 'points_saturate'")


def test_a_claim_is_about_its_papers_tables(config_dir: Path) -> None:
    path = config_dir / f"papers/{NAME}/claims.yaml"
    write(path, {"best": claim() | {"table": "table2"}})
    assert "claim 'best': the paper has no table 'table2'" in refusal(
        lambda: load_claims(config_dir)
    )
    assert load_claims(config_dir, ["pointrend"]).claims, "its file is not read"


def test_same_as_stays_in_the_paper_and_reaches_others(config_dir: Path) -> None:
    models = config_dir / f"papers/{NAME}/models"
    write(models / "second.yaml", {"title": "Second", "same_as": MODEL})
    write(models / "third.yaml", {"title": "Third", "same_as": "pointrend_r50_fpn"})
    assert load_variant(f"{NAME}_second", config_dir).paper == NAME
    third = load_variant(f"{NAME}_third", config_dir)
    assert (third.paper, third.model.mask_head.kind) == (NAME, "pointrend")
    write(config_dir / "variants/fourth.yaml", {"title": "Fourth", "same_as": OWN})
    assert load_variant("fourth", config_dir).paper == NAME


# --- the user's own files --------------------------------------------------------------------


def test_recipes_of_a_data_set_win(config_dir: Path) -> None:
    recipe = {"optimizer": {"weight_decay": 0.5}, "schedules": {"1x": {"total_iters": 7}}}
    edit(config_dir / "datasets/coco.yaml", "recipe", value=recipe)
    edit(config_dir / "presets/paper.yaml", "tables", value=["table1", f"{NAME}_table1"])
    edit(config_dir / "presets/paper.yaml", "papers", value=["pointrend", NAME])
    edit(config_dir / "presets/paper.yaml", "figures", value=[])
    grid = load_grid("paper", config_dir)
    for variant in (OWN, MODEL):
        settings = grid.training_settings("coco", variant)
        assert (settings.optimizer.weight_decay, settings.schedule.total_iters) == (0.5, 7)


def test_label_images_are_checked_where_semantic_models_can_be_trained() -> None:
    streets = load_dataset("cityscapes")
    assert streets.trains_label_maps
    assert not load_dataset("coco").trains_label_maps
    values = streets.model_dump(exclude_unset=True) | {"recipe": {"schedules": {}}}
    assert not type(streets).model_validate(values).trains_label_maps, "as before there were papers"


def test_a_variant_in_its_old_place_is_trained_by_the_first_paper(config_dir: Path) -> None:
    values = read_config(f"variants/{MODEL}")
    write(config_dir / "variants/mine.yaml", values)
    table = config_dir / "papers/pointrend/tables/table1.yaml"
    edit(table, "rows", "4conv_28", "variant", value="mine")
    grid = load_grid("tiny", config_dir)
    assert grid.trained_by["mine"].name == "pointrend"
    edit(config_dir / f"papers/{NAME}/tables/table1.yaml", "rows", "own", "variant", value="mine")
    told = refusal(lambda: load_grid("smoke", config_dir, papers=[NAME]))
    assert f"papers/{NAME}/tables/table1.yaml: row 'own': variants/mine.yaml is in no paper" in told
    write(config_dir / "variants/mine.yaml", values | {"paper": NAME})
    assert load_grid("smoke", config_dir, papers=[NAME]).trained_by["mine"].name == NAME


def test_claims_of_no_paper(config_dir: Path) -> None:
    (config_dir / "claims.yaml").unlink()
    papers = load_claims(config_dir, ["pointrend"])
    write(config_dir / "claims.yaml", {"mine": claim("pointrend_224", "4conv_28")})
    claims = load_claims(config_dir, ["pointrend"])
    assert claims.claims["mine"].table == "table1"
    assert len(claims.claims) == len(papers.claims) + 1


# --- what is chosen --------------------------------------------------------------------------


def test_a_paper_that_does_not_exist(config_dir: Path) -> None:
    assert refusal(lambda: load_grid("smoke", config_dir, papers=["pointrent"])) == (
        f"there is no paper 'pointrent' in {config_dir}/papers; did you mean 'pointrend'?"
    )
    edit(config_dir / "presets/smoke.yaml", "papers", value=["made_op"])
    assert refusal(lambda: load_grid("smoke", config_dir)) == (
        "presets/smoke.yaml: papers: there is no paper 'made_op'; did you mean 'made_up'?"
    )


def test_nothing_left_is_refused(config_dir: Path) -> None:
    told = refusal(lambda: load_grid("tiny", config_dir, papers=[NAME]))
    assert (
        told
        == f"presets/tiny.yaml: names no table of {NAME}; its tables are table1, table2, boundary"
    )
    edit(config_dir / "presets/tiny.yaml", "tables", value=[f"{NAME}_table1"])
    told = refusal(lambda: load_grid("tiny", config_dir))
    assert f"table '{NAME}_table1' is of paper '{NAME}', which is not among its papers" in told
    edit(
        config_dir / f"papers/{NAME}/tables/table1.yaml",
        "columns",
        "coco_ap",
        "dataset",
        value="cows",
    )
    told = refusal(lambda: load_grid("smoke", config_dir, papers=[NAME]))
    assert (
        "there is nothing to run for made_up: the tables ask for cows, and its datasets have"
        in told
    )


def test_tables_that_the_preset_names_are_left_to_the_chosen(config_dir: Path) -> None:
    edit(config_dir / "presets/tiny.yaml", "tables", value=["table1", f"{NAME}_table1", "engines"])
    edit(config_dir / "presets/tiny.yaml", "papers", value=["pointrend", NAME])
    edit(config_dir / "presets/tiny.yaml", "scale", value=None)
    edit(config_dir / "presets/tiny.yaml", "overrides", value={})
    both = load_grid("tiny", config_dir)
    assert dict(both.table_papers) == {
        "table1": "pointrend", f"{NAME}_table1": NAME, "engines": "pointrend"
    }  # fmt: skip
    assert list(load_grid("tiny", config_dir, papers=[NAME]).tables) == [f"{NAME}_table1"]
    one = load_grid("tiny", config_dir, papers=["pointrend"])
    assert list(one.tables) == ["table1", "engines"]


def test_how_papers_are_typed() -> None:
    assert paper_names("") == []
    assert paper_names("pointrend, made_up,pointrend") == ["pointrend", "made_up"]
    assert "paper 'a b'" in refusal(lambda: paper_names("a b"))
    for stray in (",", "pointrend,", ",pointrend", "pointrend,,made_up", " "):
        told = f"papers {stray!r}: a comma stands without a name beside it; take it away"
        assert refusal(lambda stray=stray: paper_names(stray)) == told
    for given in ("pointrend,made_up", ["pointrend", "made_up"]):
        settings = read_workflow_config({"preset": "smoke", "papers": given})
        assert settings.papers_option == "--papers=pointrend,made_up"
    assert read_workflow_config({"preset": "smoke", "papers": None}).papers_option == ""
    told = refusal(lambda: read_workflow_config({"preset": "smoke", "papers": "../x"}))
    assert "paper '../x'" in told


# --- wrong files -----------------------------------------------------------------------------


def test_the_tables_of_a_paper_are_those_that_it_lists(config_dir: Path) -> None:
    path = config_dir / f"papers/{NAME}/paper.yaml"
    edit(path, "tables", value=["table1", "table2"])
    assert refusal(lambda: load_paper(NAME, config_dir)) == (
        f"{path}: tables: tables/table2.yaml is listed, but is no file"
    )
    edit(path, "tables", value=[])
    assert "tables/table1.yaml is not listed" in refusal(lambda: load_paper(NAME, config_dir))


@pytest.mark.parametrize(
    ("file", "keys", "value", "told"),
    [
        ("paper", ("titel",), "x", "unknown key titel; did you mean 'title'?"),
        ("paper", ("prefix",), "a b", "prefix: 'a b' does not begin a name"),
        ("protocol", ("coco",), 3, "coco: must be a mapping of recipes"),
        ("protocol", ("coco", "instances"), None, "coco.instances: DatasetRecipe: Input"),
        ("protocol", ("coco", "instances", "input"), 3, "coco.instances: input: Input should be"),
        ("protocol", ("coco", "a b"), {}, "coco: recipe 'a b'"),
        ("protocol", ("a b",), {}, "data set 'a b'"),
    ],
)
def test_wrong_files_of_a_paper(
    config_dir: Path, file: str, keys: tuple[str, ...], value: Any, told: str
) -> None:
    path = config_dir / f"papers/{NAME}/{file}.yaml"
    edit(path, *keys, value=value)
    message = refusal(lambda: load_paper(NAME, config_dir))
    assert message.startswith(f"{path}: ")
    assert told in message


def test_a_folder_without_its_file(config_dir: Path) -> None:
    (config_dir / "papers/empty").mkdir()
    told = refusal(lambda: load_grid("smoke", config_dir))
    assert told == f"{config_dir}/papers/empty/paper.yaml: no such file"


def test_one_data_set_for_two_that_are_trained_on_differently(config_dir: Path) -> None:
    protocol = read_config(f"papers/{NAME}/protocol", config_dir)
    path = config_dir / f"papers/{NAME}/protocol.yaml"
    edit(config_dir / "presets/smoke.yaml", "datasets", "chairs", value="generated_coco")
    edit(config_dir / "presets/smoke.yaml", "trials", "chairs", value=1)
    write(path, protocol | {"chairs": copy.deepcopy(protocol["coco"])})
    assert load_grid("smoke", config_dir, papers=[NAME]).trainings
    edit(path, "chairs", "instances", "optimizer", "momentum", value=0.5)
    told = refusal(lambda: load_grid("smoke", config_dir, papers=[NAME]))
    assert (
        f"{path}: trains on coco and chairs differently, and one data set stands for both" in told
    )


def test_a_recipe_that_nobody_has(config_dir: Path) -> None:
    (config_dir / f"papers/{NAME}/protocol.yaml").unlink()
    told = refusal(lambda: load_grid("smoke", config_dir, papers=[NAME]))
    assert f"papers/{NAME}/models/{MODEL}.yaml on datasets/generated_coco.yaml: recipe" in told
    assert "'instances' is not one of its paper's for this data set" in told


# --- a preset's scale ------------------------------------------------------------------------


def test_a_presets_overrides_are_on_top_of_its_scale(config_dir: Path) -> None:
    preset = config_dir / "presets/smoke.yaml"
    edit(preset, "overrides", "model", "backbone", value={"fpn_channels": 16})
    backbone = (
        load_grid("smoke", config_dir).training_settings("generated_coco", MODEL).model.backbone
    )
    assert (backbone.fpn_channels, backbone.name) == (16, "resnet18_narrow")
    edit(preset, "scale", value="narow")
    told = refusal(lambda: load_grid("smoke", config_dir))
    assert told == f"there is no scale 'narow' in {config_dir}/scales; did you mean 'narrow'?"
    edit(preset, "scale", value="narrow")
    path = config_dir / "scales/narrow.yaml"
    edit(path, "modle", value={})
    assert refusal(lambda: load_grid("smoke", config_dir)) == (
        f"{path}: unknown key modle; did you mean 'model'?"
    )


def test_a_variant_of_another_paper_is_found_without_reading_all() -> None:
    grid = load_grid_of("smoke", "generated_coco", "sharpmask_r50", CONFIG_DIR)
    assert list(grid.papers) == ["sharpmask"]
    every = load_grid("smoke", papers=list_papers(CONFIG_DIR))
    asked = "generated_coco", "sharpmask_r50"
    assert settings_digest(grid.training_settings(*asked)) == settings_digest(
        every.training_settings(*asked)
    )
    # Preset mini has no data for that paper's tables.
    with pytest.raises(UserError, match="has no experiment of variant 'sharpmask_r50'"):
        load_grid_of("mini", "mini_coco", "sharpmask_r50", CONFIG_DIR)


@pytest.mark.parametrize("name", [p.stem for p in sorted((CONFIG_DIR / "presets").glob("*.yaml"))])
def test_every_preset_is_read_with_all_papers_that_fit_it(name: str) -> None:
    """As `compare` reads it, and a command that looks for a variant's experiment."""
    datasets = set(load_preset(name).datasets.values())
    if not all((CONFIG_DIR / "datasets" / f"{each}.yaml").is_file() for each in datasets):
        pytest.skip("its data set is the user's")
    assert load_grid_of_all(name, CONFIG_DIR, UserData()).cells
    with pytest.raises(UserError, match="has no experiment of variant 'no_such'"):
        load_grid_of(name, "no_such", "no_such", CONFIG_DIR)
