"""Which tasks a cluster can never hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapt.errors import PrerequisiteError
from experiments.schema import ResourceSettings
from orchestrator.capacity import Machine, check_fits, check_shared_work, is_chosen, read_machine

SMALL = Machine({"CPU": 2.0, "GPU": 1.0, "GB": 8.0})


def test_a_machine_is_read_from_what_ray_says() -> None:
    node = {
        "Resources": {
            "CPU": 4.0, "GPU": 1.0, "memory": 3.0 * 2**30, "object_store_memory": 1e9, "node:10.0.0.1": 1.0,
            "node:__internal_head__": 1.0, "accelerator_type:A100": 1.0, "rig": 2.0,
        },
        "Labels": {"ray.io/node-id": "f0", "zone": "eu"},
    }  # fmt: skip
    machine = read_machine(node)
    assert machine.amounts == {"CPU": 4.0, "GPU": 1.0, "GB": 3.0, "rig": 2.0}
    assert str(machine) == "4 CPU, 1 GPU, 3 GB, 2 rig, zone=eu"


@pytest.mark.parametrize(
    ("value", "selector", "expected"),
    [
        ("a", "a", True), ("b", "a", False), (None, "a", False),
        ("a", "!a", False), ("b", "!a", True), (None, "!a", True),
        ("b", "in(a, b)", True), ("c", "in(a,b)", False), (None, "in(a)", False),
        ("b", "!in(a, b)", False), ("c", "!in(a,b)", True), (None, "!in(a,b)", True),
    ],
)  # fmt: skip
def test_label_selectors_mean_what_they_mean_to_ray(value: str | None, selector: str, expected: bool) -> None:
    assert is_chosen(value, selector) is expected


def test_places_are_counted_by_what_runs_out_first() -> None:
    machine = Machine({"CPU": 8.0, "GPU": 2.0, "GB": 16.0, "rig": 1.0}, {"zone": "eu"})
    assert machine.count_places(ResourceSettings(cpus=1)) == 8
    assert machine.count_places(ResourceSettings(cpus=1, gpus=0.3)) == 6
    assert machine.count_places(ResourceSettings(cpus=1, gpus=0.6)) == 2, "a task's fraction lies on one GPU"
    assert machine.count_places(ResourceSettings(cpus=1, memory_gb=5)) == 3
    assert machine.count_places(ResourceSettings(custom={"rig": 1})) == 1
    assert machine.count_places(ResourceSettings(custom={"crane": 1})) == 0
    assert machine.count_places(ResourceSettings(labels={"zone": "us"})) == 0


def test_a_cluster_that_is_too_small_is_refused_with_what_is_missing(make_task, make_graph) -> None:
    two = (Machine({"CPU": 2.0, "GPU": 0.0, "GB": 8.0}),)
    check_fits(make_graph(make_task("small", "train", resources={"cpus": 2})), two)
    for stage, resources, message in (
        ("big", {"cpus": 3}, r"'big' asks for 3 CPU on one machine.*Its machines: 2 CPU, 0 GPU, 8 GB\. Lower"),
        ("fast", {"cpus": 2, "gpus": 0.5}, r"'fast' asks for 2 CPU, 0\.5 GPU on one machine"),
        ("huge", {"memory_gb": 100_000}, r"asks for 1 CPU, 1e\+05 GB on one machine"),
        ("odd", {"custom": {"rig": 1}}, r"'odd' asks for 1 CPU, 1 rig on one machine"),
        ("far", {"labels": {"zone": "us"}}, r"'far' asks for 1 CPU with zone=us on one machine"),
    ):
        with pytest.raises(PrerequisiteError, match=message):
            check_fits(make_graph(make_task(stage, "train", resources=resources)), two)


def test_every_stage_that_does_not_fit_is_named(make_task, make_graph) -> None:
    graph = make_graph(*(make_task(f"s{i}", "train", resources={"cpus": 3 + i}) for i in range(2)))
    with pytest.raises(PrerequisiteError, match=r"'s0' asks for 3 CPU.*'s1' asks for 4 CPU"):
        check_fits(graph, (SMALL,))


def test_a_task_must_fit_one_machine_not_the_sum_of_them(make_task, make_graph) -> None:
    graph = make_graph(make_task("wide", "train", resources={"cpus": 3}))
    with pytest.raises(PrerequisiteError, match="no machine of the cluster has that"):
        check_fits(graph, (SMALL, SMALL))
    check_fits(graph, (SMALL, Machine({"CPU": 4.0, "GPU": 0.0, "GB": 8.0})))


def test_workers_may_sit_on_several_machines_and_each_must_fit_one(make_task, make_graph) -> None:
    graph = make_graph(make_task("wide", "train", resources={"cpus": 1, "gpus": 1}, training={"workers": 2}))
    check_fits(graph, (SMALL, SMALL))
    with pytest.raises(
        PrerequisiteError, match=r"'wide' asks for 2 workers of 1 CPU, 1 GPU each, and the cluster has room for 1\."
    ):
        check_fits(graph, (SMALL,))
    check_fits(make_graph(make_task("thirds", "train", resources={"cpus": 0.1}, training={"workers": 20})), (SMALL,))


def test_processes_that_meet_in_a_folder_are_refused_where_machines_have_none_in_common(
    make_task, make_graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEGSHIFT_LOCAL", raising=False)
    alone, grid = make_task("alone", "train"), make_task("grid", "benchmark", shards=2)
    check_shared_work(make_graph(alone), "s3://bucket/a", True)
    check_shared_work(make_graph(grid), tmp_path, True)
    check_shared_work(make_graph(grid), "s3://bucket/a", False)
    with pytest.raises(PrerequisiteError, match=r"processes of grid .*s3://bucket/a is a bucket.*SEGSHIFT_LOCAL"):
        check_shared_work(make_graph(alone, grid), "s3://bucket/a", True)
    monkeypatch.setenv("SEGSHIFT_LOCAL", str(tmp_path))
    check_shared_work(make_graph(grid), "s3://bucket/a", True)
