"""Every shipped experiment opens with its question and loads under each of its profiles; profiles and overrides merge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import experiments
from adapt.errors import SpecError
from experiments.load import find_experiment, list_experiments, list_profiles, load_experiment

Write = Callable[..., Path]

FOLDER = Path(experiments.__file__).parent
SHIPPED = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".yaml", ".yml"))

TEXT = """\
title: profiles
datasets:
  test: {type: cityscapes, split: val, resize: [64, 32]}
models:
  net: {config: cgnet_small, weights: net.pth}
matrix: {seed: [0, 1, 2]}
stages:
  grid: {kind: benchmark, model: net, dataset: test, seed: "${matrix.seed}", limit: 100}
profiles:
  whole: {}
  none:
  mini:
    matrix: {seed: [7]}
    datasets: {test: {resize: null}}
    models: {net: {weights: null}}
    stages: {grid: {limit: 2}}
"""


def test_every_file_on_disk_is_an_experiment_by_name() -> None:
    assert len(SHIPPED) >= 1
    assert list(list_experiments()) == [path.stem for path in SHIPPED]
    assert all(path.parent == FOLDER and path.suffix == ".yaml" for path in SHIPPED)
    assert [find_experiment(path.stem) for path in SHIPPED] == SHIPPED


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_file_opens_with_question_command_cost_and_expected_result(path: Path) -> None:
    header: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        header.append(line)
    fields = [line.split()[1] for line in header if line.split()[1:2] and line.split()[1].endswith(":")]
    wanted = ["Question:", "Command:", "Cost:", "Expected:"]
    assert [field for field in fields if field in wanted] == wanted
    said = {line.split()[1]: " ".join(line.split()[2:]) for line in header if len(line.split()) > 1}
    assert all(len(said[field]) > 10 for field in wanted)
    assert path.stem in said["Command:"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_file_loads_under_each_of_its_profiles(path: Path) -> None:
    profiles = list_profiles(path.stem)
    assert profiles
    for profile in profiles:
        loaded = load_experiment(path.stem, profile)
        assert (loaded.name, loaded.profile) == (path.stem, profile)
        assert loaded.settings.title
        assert any(stage["kind"] == "leaderboard" for stage in loaded.settings.stages.values())


def test_profiles_keep_the_order_of_the_file(write: Write) -> None:
    assert list_profiles(str(write(TEXT))) == ("whole", "none", "mini")


def test_a_file_without_profiles_has_one(write: Write) -> None:
    path = str(write(TEXT.partition("profiles:")[0]))
    assert list_profiles(path) == ("full",)
    assert load_experiment(path, "full").settings.datasets["test"].resize == (64, 32)


@pytest.mark.parametrize(
    ("profiles", "key"),
    [("profiles: mini", "profiles"), ("profiles: [mini]", "profiles"), ("profiles: {mini: 3}", "profiles.mini")],
)
def test_profiles_that_are_no_mappings_are_refused(write: Write, profiles: str, key: str) -> None:
    path = write(f"{TEXT.partition('profiles:')[0]}{profiles}\n")
    with pytest.raises(SpecError) as caught:
        list_profiles(str(path))
    assert str(caught.value).startswith(f"{path}:9: {key}: a mapping is wanted here")


def test_a_profile_is_laid_over_the_file(write: Write) -> None:
    path = str(write(TEXT))
    mini = load_experiment(path, "mini").settings
    assert mini.datasets["test"].model_dump(include={"type", "split", "resize"}) == {
        "type": "cityscapes",
        "split": "val",
        "resize": None,
    }
    assert (mini.models["net"].config, mini.models["net"].weights) == ("cgnet_small", None)
    assert mini.matrix.axes == {"seed": (7,)}
    assert mini.stages["grid"]["limit"] == 2
    assert mini.stages["grid"]["kind"] == "benchmark"
    for profile in ("whole", "none"):
        whole = load_experiment(path, profile).settings
        assert whole.matrix.axes == {"seed": (0, 1, 2)}
        assert whole.models["net"].weights == "net.pth"


def test_overrides_come_after_the_profile_and_the_last_wins(write: Write) -> None:
    overrides = ["matrix.seed=[3]", "stages.grid.limit=5", "stages.grid.limit=6", "datasets.test.split=train"]
    settings = load_experiment(str(write(TEXT)), "mini", overrides).settings
    assert settings.matrix.axes == {"seed": (3,)}
    assert settings.stages["grid"]["limit"] == 6
    assert (settings.datasets["test"].split, settings.datasets["test"].resize) == ("train", None)


def test_an_error_in_a_profile_has_the_line_of_the_profile(write: Write) -> None:
    path = write(TEXT.replace("{test: {resize: null}}", "{test: {resize: nul}}"))
    load_experiment(str(path), "whole")
    with pytest.raises(SpecError) as caught:
        load_experiment(str(path), "mini")
    assert str(caught.value).startswith(f"{path}:14: datasets.test.resize: a list is wanted here")


def test_an_unknown_profile_is_answered_by_the_closest(write: Write) -> None:
    path = write(TEXT)
    with pytest.raises(SpecError) as caught:
        load_experiment(str(path), "minni")
    assert str(caught.value) == f"{path}: unknown profile 'minni'. Did you mean 'mini'? Known: mini, none, whole."


def test_an_unknown_experiment_is_answered_by_the_closest() -> None:
    with pytest.raises(SpecError) as caught:
        find_experiment("gta2cityscape")
    assert str(caught.value).startswith(
        "command line: unknown experiment 'gta2cityscape'. Did you mean 'gta2cityscapes'? Known: "
    )


def test_an_experiment_of_ones_own_is_found_by_its_path(write: Write, tmp_path: Path) -> None:
    path = write(TEXT, "mine/own.yaml")
    assert find_experiment(str(path)) == path
    assert load_experiment(str(path), "mini").name == "own"
    with pytest.raises(SpecError, match="does not exist"):
        find_experiment(str(tmp_path / "none.yaml"))


def test_a_limit_reaches_every_stage_that_takes_one_and_is_said(write: Write) -> None:
    stages = (
        "  clean: {kind: evaluate, model: net, dataset: test}\n"
        "  stream: {kind: stream, model: net, stream: {kind: single, domains: [{dataset: test}]}}\n"
    )
    path = str(write(TEXT.replace("profiles:\n", f"{stages}profiles:\n")))
    loaded = load_experiment(path, "mini", ["stages.clean.limit=9"], limit=5)
    limits = {name: data.get("limit") for name, data in loaded.settings.stages.items()}
    assert limits == {"grid": 5, "clean": 9, "stream": None}
    assert loaded.overrides == ("stages.grid.limit=5", "stages.clean.limit=5", "stages.clean.limit=9")
    assert load_experiment(path, "mini").settings.stages["grid"]["limit"] == 2


def test_a_limit_that_no_stage_takes_is_refused(write: Write) -> None:
    path = str(write(TEXT.replace("kind: benchmark", "kind: styles")))
    with pytest.raises(SpecError, match="--limit: no stage"):
        load_experiment(path, "mini", limit=5)
