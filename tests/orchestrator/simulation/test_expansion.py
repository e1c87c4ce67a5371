"""From a graph to what is simulated: durations and their origin, searches as trials, shards."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from adapt.hashing import hash_file
from experiments.graph import Graph
from experiments.task import Task
from orchestrator.profiles import MemoryProfile
from orchestrator.room import Demand
from orchestrator.simulation.durations import Durations, find_durations
from orchestrator.simulation.expansion import find_resume_s, list_work
from orchestrator.store import Store

CHOSEN: dict[str, Any] = {
    "stream": {"kind": "single", "domains": [{"dataset": "test"}]},
    "space": {"lr": [1, 2, 3]},
}


def make_searched(make_task, make_graph, **search: Any) -> tuple[Graph, Task, Task]:
    chosen = CHOSEN | search
    tuned = make_task("weather.search", "search", search=chosen)
    stream = replace(make_task("weather", "stream", expected_seconds=40, search=chosen), inputs={"method": tuned.key})
    return make_graph(tuned, stream), tuned, stream


def test_seconds_are_measured_expected_assumed_or_given(store: Store, make_task, make_graph, make_record) -> None:
    done, twin = make_task("a", expected_seconds=1), make_task("a", expected_seconds=1, limit=3)
    expected, unknown, said = make_task("b", expected_seconds=7), make_task("c"), make_task("d", expected_seconds=9)
    store.folder(done.key).mkdir(parents=True)
    store.commit(make_record(done, seconds=12.5))
    graph = make_graph(done, twin, expected, unknown, said)
    found = find_durations(graph, store, {"byhand/full/a": [10.0, 20.0, 30.0]}, {"d": 5.0}, assumed_s=100)
    seconds = {done.key: 12.5, twin.key: 20.0, expected.key: 7.0, unknown.key: 100.0, said.key: 5.0}
    assert found.seconds == seconds
    assert found.origins == {"a": "measured", "b": "expected", "c": "assumed", "d": "given"}
    assert found.list_assumed() == {"c": 100.0}
    assert found.trials == {}


def test_a_search_is_its_trials_in_lanes_and_an_end(store: Store, make_task, make_graph) -> None:
    graph, tuned, stream = make_searched(make_task, make_graph, concurrent=2)
    durations = find_durations(graph, store, {}, {})
    assert durations.trials == {tuned.key: (40.0, 40.0, 40.0)}
    one, two, three, end, after = list_work(graph, durations, {})
    assert [work.key for work in (one, two, three)] == [f"{tuned.key}/{index}" for index in range(3)]
    assert (one.needs, two.needs, three.needs) == ((), (), (one.key,))
    assert (end.key, end.workers, end.seconds, end.needs) == (tuned.key, 0, 0.0, (one.key, two.key, three.key))
    assert (after.key, after.needs, after.seconds) == (stream.key, (tuned.key,), 40.0)


def test_a_measured_search_is_shared_among_the_trials_that_followed_each_other(store, make_task, make_graph) -> None:
    """60 s of three trials: two waves of two at once, or three where nothing limits them."""
    costs = {"byhand/full/weather.search": [60.0]}
    for search, each in (({"concurrent": 2}, 30.0), ({}, 20.0)):
        graph, tuned, _ = make_searched(make_task, make_graph, **search)
        found = find_durations(graph, store, costs, {})
        assert found.trials[tuned.key] == (each,) * 3
        assert found.origins["weather.search"] == "measured"


def test_a_finished_search_knows_each_of_its_trials(store: Store, make_task, make_graph, make_record) -> None:
    graph, tuned, _ = make_searched(make_task, make_graph)
    folder = store.folder(tuned.key)
    folder.mkdir(parents=True)
    file = folder / "trials.json"
    file.write_text(json.dumps([{"seconds": 1.0}, {"seconds": 2.0}, {"seconds": 4.0}]))
    files = {"trials.json": {"sha256": hash_file(file), "size_bytes": file.stat().st_size}}
    store.commit(make_record(tuned, files=files))
    costs = {"byhand/full/weather.search": [7.0]}
    assert find_durations(graph, store, costs, {}).trials[tuned.key] == (1.0, 2.0, 4.0)
    file.write_text("[]")
    assert find_durations(graph, store, costs, {}).trials[tuned.key] == (7 / 3,) * 3, "a damaged list is not read"


def test_shards_share_a_place_each_and_workers_start_together(make_task, make_graph) -> None:
    grid = make_task("grid", "benchmark", shards=3, resources={"cpus": 2})
    wide = make_task("wide", "train", training={"workers": 4}, resources={"gpus": 1})
    durations = Durations(seconds={grid.key: 9.0, wide.key: 8.0})
    works = list_work(make_graph(grid, wide), durations, {})
    assert [(work.seconds, work.workers, work.demand) for work in works] == [
        *[(9.0, 1, Demand(cpus=2))] * 3, (0.0, 0, Demand()), (8.0, 4, Demand(cpus=1, gpus=1)),
    ]  # fmt: skip
    assert works[3].key == grid.key


def test_what_is_done_is_left_out_and_packing_asks_for_what_was_measured(make_task, make_graph) -> None:
    first = make_task("first", "train")
    packed = make_task("packed", "train", resources={"gpus": 1, "pack": True})
    graph = make_graph(first, packed)
    profile = MemoryProfile(memory_bytes=2**30, gpu_memory_bytes=8 * 2**30, gpu_total_bytes=80 * 2**30)
    durations = Durations(seconds={first.key: 1.0, packed.key: 1.0})
    (work,) = list_work(graph, durations, {"byhand/full/packed": profile}, {first.key})
    assert work.key == packed.key
    assert 0 < work.demand.gpus < 0.2
    assert work.demand.memory_gb > 1


@pytest.mark.parametrize(
    ("kind", "settings", "seconds"),
    [
        ("train", {"training": {"iterations": 400, "checkpoint_interval": 100}}, 20.0),
        ("train", {"training": {"iterations": 50, "checkpoint_interval": 100}}, 80.0),
        ("benchmark", {"protocol": {"name": "one", "cells": {"frost": [1, 2, 3]}}}, 20.0),
        ("evaluate", {}, None),
        ("stream", {}, None),
    ],
)
def test_what_a_task_goes_on_from(make_task, kind: str, settings: dict[str, Any], seconds: float | None) -> None:
    """Of 80 s: a quarter of the iterations; never more than all; three corrupted cells and a clean one."""
    assert find_resume_s(make_task("a", kind, **settings), 80.0) == seconds
