"""The space of a search: its points are the same everywhere, wrong keys and values are refused, the choice reads well."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from adapt.errors import SpecError
from adapt.tta.settings import (
    BnAlphaSettings,
    EtaSettings,
    RdumbSettings,
    ReservoirSettings,
    SarSettings,
    SourceSettings,
    TentSettings,
)
from experiments.search import (
    StreamSearchSettings,
    TrainingSearchSettings,
    apply_point,
    check_space,
    describe_domains,
    describe_search,
    list_points,
    parse_method,
)
from experiments.search_space import list_grid

STREAM = {"kind": "single", "domains": [{"dataset": "val", "corruption": "fog", "severity": 3}]}


def make_search(space: dict[str, Any], **fields: Any) -> StreamSearchSettings:
    return StreamSearchSettings.model_validate({"stream": STREAM, "space": space, **fields})


def test_a_grid_is_tried_as_a_whole_with_the_last_axis_fastest() -> None:
    grid = list_grid({"lr": (0.1, 0.2), "momentum": (0.0, 0.5, 0.9)})
    assert grid == [{"lr": lr, "momentum": momentum} for lr in (0.1, 0.2) for momentum in (0.0, 0.5, 0.9)]
    assert list_points(make_search({"lr": [0.1, 0.2], "momentum": [0.0, 0.5, 0.9]})) == grid


def test_drawn_points_follow_the_seed_alone_and_stay_within_their_bounds() -> None:
    space = {"lr": {"log_uniform": [1e-6, 1e-2]}, "momentum": {"uniform": [0.2, 0.6]}, "optimizer": ["adam", "sgd"]}
    search = make_search(space, trials=400, seed=3, sampler="random")
    points = list_points(search)
    assert points == list_points(search)
    assert points != list_points(make_search(space, trials=400, seed=4, sampler="random"))
    assert points[:7] == list_points(make_search(space, trials=7, seed=3, sampler="random")), (
        "more trials move the first ones"
    )
    assert {point["optimizer"] for point in points} == {"adam", "sgd"}
    logs = [math.log10(point["lr"]) for point in points]
    assert all(-6 <= value <= -2 for value in logs)
    assert abs(sum(logs) / 400 + 4) < 0.2  # standard deviation of the mean: 4 / sqrt(12 * 400) = 0.06
    momenta = [point["momentum"] for point in points]
    assert all(0.2 <= value <= 0.6 for value in momenta)
    assert abs(sum(momenta) / 400 - 0.4) < 0.02
    assert all(value == float(f"{value:.6g}") for value in momenta)


def test_a_point_changes_what_it_names_and_nothing_else() -> None:
    method = EtaSettings(lr=1e-3, margin=0.1)
    changed = apply_point(method, {"margin": 0.4, "unit": "pixel"})
    assert changed == EtaSettings(lr=1e-3, margin=0.4, unit="pixel")
    assert method == EtaSettings(lr=1e-3, margin=0.1)


def test_a_point_reaches_into_the_base_of_a_wrapper() -> None:
    method = RdumbSettings(base=ReservoirSettings(base=SarSettings(rho=0.1)))
    changed = apply_point(method, {"base.base.lr": 1e-4, "n": 10})
    assert changed == RdumbSettings(n=10, base=ReservoirSettings(base=SarSettings(rho=0.1, lr=1e-4)))


def test_a_base_may_be_searched_with_its_own_settings() -> None:
    bases = [{"name": "tent"}, {"name": "eta"}]
    search = make_search({"base.lr": [1e-4], "base": bases})
    made = [apply_point(RdumbSettings(), point) for point in list_points(search)]
    assert made == [RdumbSettings(base=TentSettings(lr=1e-4)), RdumbSettings(base=EtaSettings(lr=1e-4))]
    assert search.space["base"] == tuple(bases), "the space was changed"


@pytest.mark.parametrize(
    ("method", "space", "text"),
    [
        (TentSettings(), {"lrr": [1e-4]}, "the method 'tent' has no setting 'lrr' to be searched. Did you mean 'lr'?"),
        (TentSettings(), {"name": ["eta"]}, "has no setting 'name' to be searched"),
        (RdumbSettings(), {"base.marign": [0.1]}, "'rdumb(eta)' has no setting 'base.marign' to be searched. Did you mean"),
        (RdumbSettings(), {"lr": [1e-4]}, "Did you mean 'base.lr'?"),
        (SourceSettings(), {"lr": [1e-4]}, "It has: none."),
        (TentSettings(), {"lr": [1e-4, -1e-4]}, "refuses lr=-1e-4: lr: input should be greater than 0"),
        (TentSettings(), {"optimizer": ["adam", "adamw"]}, "refuses optimizer=adamw: optimizer: input should be 'adam' or"),
        (RdumbSettings(), {"base": ["eta"], "base.lr": [1e-4]}, "refuses base=eta, base.lr=1e-4"),
        (BnAlphaSettings(), {"alpha": [0.1, 0.5, 0.1]}, "two trials of the search are the same: alpha=0.1 and alpha=0.1"),
        (RdumbSettings(), {"base": [{"name": "eata"}]}, "with base=eata the method needs `fisher`, which 'rdumb(eta)' is not"),
        (BnAlphaSettings(), {"alpha": [1, 1.0]}, "two trials of the search are the same"),
    ],
)  # fmt: skip
def test_a_wrong_space_is_refused(method: Any, space: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_space(method, make_search(space))
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("space", "text"),
    [
        ({"n": {"uniform": [10, 90]}}, "n: input should be a valid integer"),
        ({"n": {"uniform": [-90, -10]}}, "refuses n="),
        ({"base.lr": {"uniform": [0.1, 0.2]}, "n": [50, -1]}, "refuses base.lr="),  # even where no draw took the -1
    ],
)
def test_what_would_be_drawn_is_tried_before_anything_runs(space: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        check_space(RdumbSettings(), make_search(space, trials=1, seed=1))


def test_sound_spaces_pass() -> None:
    check_space(TentSettings(), make_search({"lr": [1e-5, 1e-4], "optimizer": ["adam", "sgd"]}))
    check_space(TentSettings(), make_search({"lr": {"log_uniform": [1e-6, 1e-3]}}, trials=8))


@pytest.mark.parametrize(
    ("space", "fields", "text"),
    [
        ({"lr": [1e-4]}, {"trials": 3}, "`trials` belongs to a space with a range"),
        ({"lr": {"uniform": [0, 1]}}, {}, "a space with a range needs `trials`"),
        ({"lr": {"uniform": [1, 0]}}, {"trials": 3}, r"below its high one, got \[1, 0\]"),
        ({"lr": {"log_uniform": [0, 1]}}, {"trials": 3}, "bounds of log_uniform are above 0"),
        ({"lr": {"uniform": [0, 1], "log_uniform": [1, 2]}}, {"trials": 3}, "only one of them"),
        ({"lr": {}}, {"trials": 3}, "only one of them"),
        ({"lr": []}, {}, "at least 1 item"),
        ({"lr": 0.1}, {}, "valid tuple"),
        ({}, {}, "at least 1 item"),
        ({"lr": [1e-4]}, {"metric": "drift"}, "mean_miou"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(
    space: dict[str, Any], fields: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValidationError, match=text):
        make_search(space, **fields)


def test_how_many_trials_run_at_once_is_no_part_of_what_is_searched() -> None:
    one, other = make_search({"lr": [1e-4]}), make_search({"lr": [1e-4]}, concurrent=2)
    assert other.concurrent == 2
    assert one.model_dump(mode="json") == other.model_dump(mode="json")


def test_the_choice_in_words() -> None:
    search = make_search({"lr": [1e-5, 1e-4, 0.001]})
    said = describe_search(search, TentSettings(lr=1e-4), 3, describe_domains(search.stream))
    assert said == "lr=1e-4 of {1e-5, 1e-4, 0.001}, 3 trials on val/fog/3"
    domains = [{"dataset": name} for name in "abcde"]
    search = make_search(
        {"base.lr": {"log_uniform": [1e-6, 1e-3]}, "n": [10, 50]},
        trials=1,
        stream={"kind": "continual", "domains": domains},
    )
    chosen = RdumbSettings(n=50, base=TentSettings(lr=2e-5))
    assert describe_search(search, chosen, 1, describe_domains(search.stream)) == (
        "base.lr=2e-5 of [1e-6, 0.001] (log), n=50 of {10, 50}, 1 trial on a, b, c and 2 more"
    )
    search = make_search({"base": [{"name": "tent"}, {"name": "eta"}]})
    assert describe_search(search, RdumbSettings(), 2, "val").startswith("base=eta of {tent, eta}, 2 trials")


def test_the_choice_survives_its_file() -> None:
    method = RdumbSettings(
        n=7, base=ReservoirSettings(base=EtaSettings(lr=3e-5, unit="pixel"), batch_weights=(0.0, 1.0))
    )
    assert parse_method(method.model_dump_json()) == method


def test_a_population_is_said_to_be_one() -> None:
    search = TrainingSearchSettings.model_validate(
        {"space": {"lr": {"uniform": [0.1, 0.9]}}, "trials": 8, "scheduler": {"name": "pbt", "interval": 10}}
    )
    said = describe_search(search, {"lr": 0.3}, 8, "labels of look")
    assert said == "lr=0.3 of [0.1, 0.9] in the end, a population of 8 on labels of look"
