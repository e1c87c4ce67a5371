"""A record as MLflow shows it, worked by hand: names, tags, points of curves, parameters; and names that MLflow refuses."""

from __future__ import annotations

import posixpath
import re
from typing import Any

import pytest
from mlflow.utils import validation

from orchestrator import mlflow_run
from orchestrator.mlflow_run import allow_name, flatten, list_points
from orchestrator.record import Cell

HALF = ((2, 2), (2, 2))  # mIoU 1/3
WHOLE = ((4, 0), (0, 4))  # mIoU 1


def test_a_scored_run_is_named_by_network_adaptation_place_and_seed(make_task, make_record) -> None:
    trained = make_record(make_task("source_only", "train", label="cgnet"))
    point = {"trained": "${source_only.checkpoint}", "method": {"name": "tent", "lr": 0.001}, "size": 64, "seed": 0}
    method = {"name": "tent", "title": "tent", "settings": {"name": "tent", "lr": 0.001}}
    record = make_record(make_task("tuned", "stream", point=point), method=method)
    name = mlflow_run.name_run(record, trained, "camvid_tta")
    assert name == "cgnet + tent(lr=0.001) · camvid_tta/tuned · size 64 · seed 0"


def test_a_point_of_a_search_is_named_as_in_the_leaderboard(make_task, make_record) -> None:
    trained = make_record(make_task("source_only", "train", label="cgnet"))
    space = {"lr": [2.5e-05, 2.5e-04], "reset_below": [0.02, 0.2]}
    sar = {"name": "sar", "method": {"name": "sar", "lr": 0.1, "margin": 0.2}, "space": space}
    method = {"name": "sar", "title": "sar", "settings": {"name": "sar", "lr": 2.5e-05, "reset_below": 0.02}}
    task = make_task("tuned", "stream", point={"entry": sar})
    record = make_record(task, method=method, settings={"search": {"space": space}})
    adaptation = "sar(lr=tuned, reset_below=tuned, margin=0.2)"
    assert mlflow_run.name_run(record, trained, "e") == f"cgnet + {adaptation} · e/tuned"
    assert mlflow_run.describe_tags(record, trained)["segshift.adaptation"] == adaptation
    assert mlflow_run.describe_parameters(record, trained)["adaptation"] == adaptation
    search = record.model_copy(update={"kind": "search", "stage": "tuned.search"})
    assert mlflow_run.name_run(search, trained, "e") == "cgnet · e/tuned.search · entry sar"
    assert "segshift.adaptation" not in mlflow_run.describe_tags(search, trained)
    other = record.model_copy(update={"point": {"entry": {**sar, "name": "mild"}}})
    assert mlflow_run.name_run(other, trained, "e") == f"cgnet + {adaptation} · e/tuned · entry mild"


def test_a_wrapped_method_that_was_searched_keeps_what_its_point_sets(make_task, make_record) -> None:
    inner = {"name": "eta", "margin": 0.2}
    rdumb = {"name": "rdumb", "method": {"name": "rdumb", "base": inner}, "space": {"base.lr": [1e-05, 1e-04]}}
    record = make_record(
        make_task("tuned", "stream", point={"entry": rdumb}),
        method={"name": "rdumb", "title": "rdumb(eta)", "settings": {"name": "rdumb", "base": inner}},
        settings={"search": {"space": rdumb["space"]}},
    )
    assert mlflow_run.describe_tags(record, None)["segshift.adaptation"] == (
        "rdumb(eta)(base.lr=tuned, base.margin=0.2)"
    )


def test_a_training_and_outside_weights_are_named_by_label_and_model(make_task, make_record) -> None:
    training = make_record(make_task("daformer", "train", label="DAFormer", point={"seed": 1}))
    assert mlflow_run.name_run(training, None, "ladder") == "DAFormer · ladder/daformer · seed 1"
    outside = make_record(make_task("clean"), settings={"model": "segformer", "dataset": "test"})
    assert mlflow_run.name_run(outside, None, "e") == "segformer · e/clean"


def test_axes_of_one_name_keep_what_they_set(make_task, make_record) -> None:
    names = {
        mlflow_run.name_run(make_record(make_task("a", "train", point={"loss": {"name": "ce", "w": w}})), None, "e")
        for w in (1, 2)
    }
    assert names == {"a · e/a · loss ce(w=1)", "a · e/a · loss ce(w=2)"}


def test_a_name_is_not_longer_than_the_database_takes(make_task, make_record) -> None:
    record = make_record(make_task("clean", point={"note": "x" * 1000}))
    assert len(mlflow_run.name_run(record, None, "e")) == 250


def test_tags_say_what_runs_are_grouped_by(make_task, make_record) -> None:
    trained = make_record(make_task("source_only", "train", label="cgnet"))
    bound = {"settings": {"type": "acdc", "split": "val", "subset": ["fog"]}, "fingerprint": "f" * 64}
    other = {"settings": {"type": "acdc", "split": "val", "subset": ["night"]}, "fingerprint": "f" * 64}
    record = make_record(
        make_task("weather", "stream", point={"seed": 3}),
        method={"name": "tent", "title": "tent", "settings": {"name": "tent"}},
        protocol={"kind": "stream", "stream": {"kind": "continual"}},
        datasets={"fog": bound, "night": other},
        environment={"git": {"commit": "abc", "dirty": True}},
    )
    tags = mlflow_run.describe_tags(record, trained)
    protocol = tags.pop("segshift.protocol")
    assert re.fullmatch("continual [0-9a-f]{6}", protocol)
    assert tags == {
        "segshift.stage": "weather",
        "segshift.kind": "stream",
        "segshift.label": "weather",
        "segshift.profile": "full",
        "segshift.status": "done",
        "segshift.method": "cgnet",
        "segshift.adaptation": "tent",
        "segshift.architecture": "Toy",
        "segshift.dataset": "acdc val (fog, night)",
        "segshift.seed": "3",
        "segshift.commit": "abc+changes",
    }


def test_data_sets_have_short_digests_and_say_what_they_were_for(make_task, make_record) -> None:
    def bind(kind: str, split: Any = "train") -> dict[str, Any]:
        return {"settings": {"type": kind, "split": split}, "fingerprint": kind * 20}

    record = make_record(make_task("clean"), datasets={"test": bind("gta"), "mine": bind("folder")})
    both = bind("gta", ["train", "val"])
    read = {"s": both, "t": bind("cityscapes"), "v": bind("acdc"), "again": both}
    settings = {"target": "t", "validation": {"dataset": "v"}}
    uda = record.model_copy(update={"kind": "uda", "settings": settings, "datasets": read})
    assert [(d.name, d.context) for d in mlflow_run.list_datasets(record)] == [("gta train", "test"), ("mine", "test")]
    assert [(d.name, d.context) for d in mlflow_run.list_datasets(uda)] == [
        ("gta train+val", "train"),
        ("cityscapes train", "target"),
        ("acdc train", "validation"),
    ]
    assert {len(d.digest) for d in mlflow_run.list_datasets(uda)} == {36}


def test_cells_of_a_benchmark_are_curves_over_severity_from_the_clean_images_on(make_task, make_record) -> None:
    cells = {
        "clean": ({}, WHOLE),
        "fog/1": ({"corruption": "fog", "severity": 1}, WHOLE),
        "fog/3": ({"corruption": "fog", "severity": 3}, HALF),
        "snow/3": ({"corruption": "snow", "severity": 3}, None),
    }
    metrics = {"label_agreement/fog/3": 0.5, "frames_per_second": 2.0}
    protocol = {"cells": [["fog", 1], ["fog", 3], ["snow", 3]]}
    record = make_record(make_task("grid", "benchmark"), cells, protocol=protocol, metrics=metrics)
    points = {(p.metric, p.step): p.value for p in list_points(record)}
    assert {place: value for place, value in points.items() if "/" in place[0]} == {
        ("severity/fog", 0): 1.0,
        ("severity/fog", 1): 1.0,
        ("severity/fog", 3): pytest.approx(1 / 3),
        ("label_agreement/fog", 3): 0.5,
    } | {p: v for p, v in points.items() if p[0].startswith("mpc_family")}
    assert points["clean_miou", 0] == 1.0
    assert points["frames_per_second", 0] == 2.0
    reasons = mlflow_run.explain_missing(record)
    assert reasons["mpc"] == reasons["rpc"] == "nothing was scored in snow/3"
    assert reasons["miou/snow/3"] == "nothing was scored there"


def test_cells_of_a_stream_are_curves_over_rounds_counted_from_one(make_task, make_record) -> None:
    cells = {
        f"{r}/{d}": ({"round": r, "domain": d}, counts)
        for r, d, counts in [(0, "fog", WHOLE), (0, "night", HALF), (1, "fog", HALF), (1, "night", HALF)]
    }
    record = make_record(make_task("weather", "stream"), cells)
    points = {(p.metric, p.step): p.value for p in list_points(record)}
    third = pytest.approx(1 / 3)
    assert points["rounds/fog", 1] == 1.0
    assert [points[place] for place in [("rounds/fog", 2), ("rounds/night", 1), ("rounds/night", 2)]] == [third] * 3
    assert points["round_miou", 1] == pytest.approx(2 / 3)
    assert points["round_miou", 2] == third
    assert not [metric for metric, _ in points if metric.startswith("miou/")]


def test_scores_are_missing_for_a_reason_and_those_that_do_not_apply_are_not(make_task, make_record) -> None:
    def explain(*cells: tuple[int, str, Any], kind: str = "stream", **fields: Any) -> dict[str, str]:
        named = {f"{r}/{d}": ({"round": r, "domain": d}, counts) for r, d, counts in cells}
        return mlflow_run.explain_missing(make_record(make_task("a", kind), named, **fields))

    assert explain((0, "fog", WHOLE), (0, "night", HALF)) == {}
    assert explain((0, "fog", WHOLE), (1, "night", HALF)) == {"forgetting": "the domains differ between the rounds"}
    gap = "nothing was scored in 1/fog"
    assert explain((0, "fog", WHOLE), (1, "fog", None)) == {
        **dict.fromkeys(("mean_miou", "drift", "forgetting", "round_miou/1"), gap),
        "miou/1/fog": "nothing was scored there",
    }
    assert explain((0, "fog", WHOLE), metrics={"updates": None}) == {"updates": "not measured in this run"}
    moving = {"clean": ({}, WHOLE), "elastic_transform/1": ({"corruption": "elastic_transform", "severity": 1}, WHOLE)}
    for cells, grid in (({"clean": moving["clean"]}, []), (moving, [["elastic_transform", 1]])):
        record = make_record(make_task("grid", "benchmark"), cells, protocol={"cells": grid})
        assert mlflow_run.explain_missing(record) == {}
    absent = make_record(make_task("clean"), {"clean": ({}, ((5, 0), (0, 0)))})
    unseen = "the class occurs neither in the labels nor in the predictions"
    assert mlflow_run.explain_missing(absent) == {"iou/traffic light": unseen}


def test_one_round_is_no_curve_and_a_corrupted_domain_no_group(make_task, make_record) -> None:
    cells = {"0/day/fog/3": ({"round": 0, "domain": "day/fog/3"}, WHOLE)}
    points = {(p.metric, p.step): p.value for p in list_points(make_record(make_task("weather", "stream"), cells))}
    assert points["rounds/day fog 3", 0] == 1.0
    assert points["round_miou", 0] == 1.0


def test_a_failed_record_has_its_seconds_and_no_score(make_task, make_record) -> None:
    record = make_record(make_task("clean"), failure="no luck")
    assert [(p.metric, p.value) for p in list_points(record)] == [("seconds", 1.5)]
    assert mlflow_run.explain_missing(record) == {}


def test_parameters_are_what_ran_without_housekeeping(make_task, make_record) -> None:
    trained = make_record(make_task("source_only", "train", label="cgnet"))
    method = {"name": "tent", "title": "tent", "settings": {"name": "tent", "lr": 0.1}}
    record = make_record(make_task("weather", "stream", point={"seed": 3}), method=method)
    parameters = mlflow_run.describe_parameters(record, trained)
    assert parameters["method"] == "cgnet"
    assert parameters["method.lr"] == "0.1"
    assert parameters["adaptation"] == "tent"
    assert parameters["architecture"] == "Toy"
    assert parameters["point.seed"] == "3"
    assert not {"checkpoint", "label", "expected_seconds", "resources.cpus"} & set(parameters)


BAD = [
    "a@b",
    "a=b",
    "iou/traffic=light",
    "..",
    "../up",
    "/top",
    "a//b",
    "a/./b",
    "tail/",
    "",
    "x" * 600,
    "ümlaut",
    "a\nb",
    "…",
]


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text[:9]))
def test_every_name_becomes_one_that_mlflow_takes(text: str) -> None:
    name = allow_name(text)
    assert validation.validate_param_and_metric_name(name)
    assert not validation.path_not_unique(name)
    assert len(name) <= validation.MAX_ENTITY_KEY_LENGTH
    assert allow_name(name) == name


def test_good_names_stay_and_long_ones_stay_apart() -> None:
    for name in ("miou", "iou/traffic light", "live/loss", "method.base.lr", "segshift.missing/fog: a"):
        assert allow_name(name) == name == posixpath.normpath(name)
    assert allow_name("x" * 300 + "a") != allow_name("x" * 300 + "b")


def test_settings_are_flattened_to_dotted_keys() -> None:
    nested = {"a": 1, "b": {"c": None, "d": {"e": [1, 2]}}, "empty": {}}
    assert flatten(nested) == {"a": "1", "b.c": "None", "b.d.e": "[1, 2]"}


def test_a_cell_that_is_no_curve_is_no_curve(make_task, make_record) -> None:
    """A real shift has neither severity nor round."""
    record = make_record(make_task("grid", "benchmark"), {"clean": ({}, WHOLE)}, protocol={"cells": []})
    shifted = Cell(name="shift/night", axes={"shift": "night"}, frames=1, confusion=HALF)
    points = list_points(record.model_copy(update={"cells": (*record.cells, shifted)}))
    assert [(p.metric, p.step) for p in points if p.metric.startswith(("severity", "rounds"))] == []
    assert ("miou_shift/night", 0) in {(p.metric, p.step) for p in points}
