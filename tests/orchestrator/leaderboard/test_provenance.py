"""Where a row comes from: the command, the code, the hardware, the weights, and what its network has seen."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.leaderboard.provenance import build_provenance, list_training_data
from orchestrator.record import Network

ENVIRONMENT = {"git": {"commit": "abc", "dirty": True}, "packages": {"torch": "2.13"}, "cpu": "EPYC", "cpu_count": 2,
               "gpus": ["H200"]}  # fmt: skip


def test_a_row_says_where_it_comes_from(make_task, make_graph, make_record) -> None:
    trained = make_task("source_only", "train", point={"seed": 0})
    tasks = [make_task("clean", needs=trained, point={"seed": seed}) for seed in (0, 1)]
    network = Network(architecture="Toy", parameters=7, checkpoint_sha256="f00", trained_by=trained.key, weights=None)
    records = [
        make_record(
            task, environment=ENVIRONMENT | {"git": {"commit": "abc", "dirty": bool(number)}}, network=network,
            datasets={"test": {"settings": {}, "fingerprint": "bytes-1"}}, started_at=f"2026-01-0{2 - number}T00:00:00+00:00",
        )
        for number, task in enumerate(tasks)
    ]  # fmt: skip
    graph = replace(make_graph(trained, *tasks), overrides=("matrix.seed=[0, 1]",))
    made = build_provenance(graph, tasks, records)
    assert made.command == "segshift sweep byhand --profile full 'matrix.seed=[0, 1]'"
    assert (made.experiment, made.stage) == ("byhand", "clean")
    assert made.commits == ("abc", "abc+changes")
    assert made.packages == {"torch": "2.13"}
    assert made.hardware == ("EPYC x 2, H200",)
    assert made.checkpoints == ("f00",)
    assert made.weights == ()
    assert made.datasets == {"test": "bytes-1"}
    assert made.started_at == "2026-01-01T00:00:00+00:00"
    assert made.seconds == 3.0
    assert "resources.cpus" not in made.settings
    assert made.settings["dataset"] == "test"


def test_a_search_says_the_settings_that_it_chose(make_task, make_graph, make_record) -> None:
    task = make_task("weather", "stream")
    record = make_record(task, method={"name": "tent", "settings": {"name": "tent", "lr": 0.5}})
    assert build_provenance(make_graph(task), [task], [record]).settings["method.lr"] == "0.5"


def test_a_row_without_results_still_says_how_to_make_it(make_task, make_graph) -> None:
    task = make_task("clean")
    made = build_provenance(make_graph(task), [task], [])
    assert made.command == "segshift sweep byhand --profile full"
    own = replace(make_graph(task), given="my files/own.yaml")
    assert build_provenance(own, [task], []).command == "segshift sweep 'my files/own.yaml' --profile full"
    assert made.seconds is None


def test_training_data_is_what_all_networks_behind_a_row_have_seen(make_task, make_graph) -> None:
    trained = make_task("source_only", "train")
    task = make_task("clean", needs=trained)
    assert list_training_data(make_graph(trained, task), task) == ("gta val",)
    alone = make_task("clean")
    assert list_training_data(make_graph(alone), alone) == ()
