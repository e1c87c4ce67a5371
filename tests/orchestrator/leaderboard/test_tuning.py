"""What a row says of its search: which settings, out of what, on what, over how many trials, and the choice."""

from __future__ import annotations

import dataclasses

import pytest

from adapt.tta.settings import TentSettings
from orchestrator.leaderboard.tuning import describe_tuning

SEARCH = {"stream": {"kind": "single", "domains": [{"dataset": "night"}]}, "space": {"lr": [0.1, 0.2]}}


@pytest.fixture
def runs(make_task, make_graph):
    """Two seeds of a tuned stream, each with a search of its own."""
    searches = [make_task("weather.search", "search", point={"seed": seed}, search=SEARCH) for seed in (0, 1)]
    tasks = [
        dataclasses.replace(
            make_task("weather", "stream", point={"seed": seed}, search=SEARCH), inputs={"method": search.key}
        )
        for seed, search in enumerate(searches)
    ]
    return make_graph(*searches, *tasks), searches, tasks


def choose(make_record, search, lr: float):
    return make_record(search, method={"name": "tent", "settings": TentSettings(lr=lr).model_dump(), "trial": 0})


def test_a_choice_is_said_once_and_each_other_one_too(runs, make_record) -> None:
    graph, searches, tasks = runs
    equal = {search.key: choose(make_record, search, 0.1) for search in searches}
    assert describe_tuning(graph, tasks, equal.get) == "lr=0.1 of {0.1, 0.2}, 2 trials on night"
    apart = {search.key: choose(make_record, search, lr) for search, lr in zip(searches, (0.1, 0.2), strict=True)}
    assert describe_tuning(graph, tasks, apart.get) == (
        "lr=0.1 of {0.1, 0.2}, 2 trials on night; lr=0.2 of {0.1, 0.2}, 2 trials on night"
    )


def test_a_search_without_a_result_says_so(runs) -> None:
    graph, _, tasks = runs
    assert describe_tuning(graph, tasks, lambda key: None) == "lr: not chosen yet"


def test_what_was_not_tuned_says_nothing(make_task, make_graph) -> None:
    task = make_task("weather", "stream")
    assert describe_tuning(make_graph(task), [task], lambda key: None) is None
    assert describe_tuning(make_graph(task), [make_task("clean")], lambda key: None) is None


def test_trials_without_a_score_are_told(runs, make_record) -> None:
    graph, searches, tasks = runs
    records = {
        search.key: choose(make_record, search, 0.1).model_copy(update={"metrics": {"failed_trials": failed}})
        for search, failed in zip(searches, (0.0, 1.0), strict=True)
    }
    assert describe_tuning(graph, tasks[:1], records.get) == "lr=0.1 of {0.1, 0.2}, 2 trials on night"
    assert describe_tuning(graph, tasks[1:], records.get) == (
        "lr=0.1 of {0.1, 0.2}, 2 trials on night, 1 without a score"
    )


@pytest.mark.parametrize(
    ("fields", "judged"),
    [
        ({"validation": {"dataset": "look", "interval": 10}}, "labels of look"),
        ({"search": {"metric": "loss", "mode": "min"}}, "its loss"),
    ],
)
def test_a_row_says_how_the_training_of_its_network_was_tuned(
    make_task, make_graph, make_record, fields, judged: str
) -> None:
    search = {"space": {"training.optimizer.lr": [0.1, 0.2], "loss": [None]}} | fields.get("search", {})
    trained = make_task("tuned", "train", **fields | {"search": search})
    scored = make_task("clean", needs=trained)
    graph = make_graph(trained, scored)
    assert describe_tuning(graph, [scored], lambda key: None) == "training.optimizer.lr, loss: not chosen yet"
    record = make_record(
        trained,
        method={"point": {"training.optimizer.lr": 0.2, "loss": None}, "trial": 1, "stage": {}},
        metrics={"trials": 2.0, "pruned_trials": 1.0, "failed_trials": 0.0},
    )
    assert describe_tuning(graph, [scored], {trained.key: record}.get) == (
        f"training.optimizer.lr=0.2 of {{0.1, 0.2}}, loss=None of {{None}}, 2 trials on {judged}, 1 stopped early"
    )
