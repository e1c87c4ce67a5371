"""`segshift simulate` in this process: what it prints, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store import Store

ARGUMENTS = ("simulate", "gta2cityscapes", "--profile", "full", "matrix.seed=[0]")


def read(outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_a_profile_that_cannot_run_here_is_simulated(segshift) -> None:
    """One seed: 2 trainings, 2 evaluations, 6 streams, 2 benchmarks. On one GPU they follow each other: 12 x 100 s."""
    given = ("--assume", "daformer=100", "--assume", "100")  # its file says what it is expected to take
    found = read(segshift(*ARGUMENTS, "--nodes", "1", "--cpus", "8", "--gpus", "1", *given, "--json"))
    assert (found["tasks"], found["cached"], found["pieces"]) == (12, 0, 12)
    assert any("no folder for gta" in problem for problem in found["problems"])
    assert found["bound_s"] == 1200
    assert found["limit"] == "GPU"
    assert 1200 <= found["makespan_s"]["median"] < 1230
    assert found["utilisation"]["GPU"]["median"] > 0.97
    assert found["durations"]["daformer"] == {"seconds": 100, "origin": "given"}
    assert found["durations"]["source_only"] == {"seconds": 100, "origin": "assumed"}
    scale = {entry["times"]: entry["makespan_s"] for entry in found["scale"]}
    assert sorted(scale) == [1, 2, 4, 8]
    assert 600 <= scale[2] < 630
    assert 200 <= scale[8] < 310, "a chain of two, and twelve tasks on eight GPUs"
    assert len(found["timeline"]["gpus"]) == 100


def test_the_text_names_what_is_assumed_and_what_limits(segshift) -> None:
    outcome = segshift(*ARGUMENTS, "--cluster", "h100_on_demand", "--assume", "daformer=57600", "--assume", "600")
    assert outcome.code == 0
    assert "on 8 x h100 (192 CPU, 8 GPU, 2000 GB)" in outcome.out
    assert "source_only: never measured, assumed to take 10 min 00 s (--assume source_only=SECONDS)" in outcome.out
    assert "daformer: never measured" not in outcome.out
    assert "limited by      the critical path, 16 h 10 min: daformer 16 h 00 min → " in outcome.out
    assert "USD, idle nodes included" in outcome.out
    assert "none of those counts as in the store" in outcome.out.replace("\n", " ")


def test_measured_seconds_are_used_and_finished_tasks_left_out(segshift, make_task, make_record, tiny: Path) -> None:
    plan = json.loads(segshift("plan", tiny, "--json").out)
    (train,) = [task for task in plan["tasks"] if task["kind"] == "train"]
    store = Store(Path("store"))
    store.write_note("costs.json", json.dumps({f"{plan['experiment']}/{plan['profile']}/clean": [3.0, 5.0, 4.0]}))
    cluster = ("--nodes", "1", "--cpus", "2", "--gpus", "0", "--json")
    found = read(segshift("simulate", tiny, *cluster))
    assert found["durations"]["clean"] == {"seconds": 4.0, "origin": "measured"}
    assert (found["tasks"], found["cached"], found["pieces"]) == (8, 0, 8)
    store.folder(train["key"]).mkdir(parents=True)
    store.commit(make_record(replace(make_task(train["stage"], "train"), key=train["key"]), seconds=33.0))
    found = read(segshift("simulate", tiny, *cluster))
    assert (found["cached"], found["pieces"]) == (1, 7)
    found = read(segshift("simulate", tiny, *cluster, "--from-scratch"))
    assert (found["cached"], found["pieces"]) == (0, 8)
    assert found["durations"][train["stage"]] == {"seconds": 33.0, "origin": "measured"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cluster", "nowhere.yaml"), "--cluster nowhere.yaml: there is no such file"),
        (("--cluster", "workstation", "--nodes", "2"), "--cluster and --nodes both describe nodes"),
        (("--nodes", "0"), "--nodes 0: a number above 0"),
        (("--nodes", "1", "--gpus", "0"), "stage 'source_only' asks for 4 CPU, 1 GPU and the cluster has no room"),
        (("--cluster", "workstation", "--assume", "daforner=3"), "unknown stage 'daforner'. Did you mean 'daformer'?"),
        (("--assume", "daformer=fast"), "--assume daformer=fast: seconds above 0"),
        (("--assume", "-1"), "--assume -1: seconds above 0"),
        (("--runs", "0"), "--runs 0: at least one"),
        (("--scale", "0,1"), "argument --scale"),
    ],
)
def test_what_is_wrong_is_named(segshift, arguments: tuple[str, ...], message: str) -> None:
    outcome = segshift(*ARGUMENTS, *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_nothing_is_written(segshift, tmp_path: Path) -> None:
    segshift(*ARGUMENTS, "--cluster", "spot_mix", "--runs", "2")
    assert list(tmp_path.iterdir()) == []
