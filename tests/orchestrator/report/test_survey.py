"""Where every task stands, told from records, failures and leases."""

from __future__ import annotations

import pytest

from orchestrator.leaderboard.source import StoreSource
from orchestrator.report.survey import count_states, survey_tasks, tell_standing


@pytest.fixture
def chain(make_task):
    """A training, an evaluation of it, and one that needs nothing."""
    net = make_task("net", "train")
    return net, make_task("clean", needs=net), make_task("alone")


def survey(graph, store):
    return survey_tasks(graph, store, StoreSource(store, set(graph.tasks)), {})


def commit(store, record) -> None:
    store.folder(record.key).mkdir(parents=True, exist_ok=True)
    store.commit(record)


def test_an_empty_store_has_nothing_run(chain, make_graph, store) -> None:
    views = survey(make_graph(*chain), store)
    assert [view.state for view in views.values()] == ["open"] * 3
    assert tell_standing(list(views.values())) == "None of the 3 tasks has run yet."
    assert all(view.record is None and view.log is None and view.seconds is None for view in views.values())


def test_a_failure_blocks_what_needs_it_and_nothing_else(chain, make_graph, make_record, store) -> None:
    net, _clean, alone = chain
    store.write_failure(make_record(net, failure="out of memory"))
    commit(store, make_record(alone, {"clean": ({}, ((1, 0), (0, 1)))}, seconds=7.0))
    store.log_file(net.key).write_text("...")
    views = survey(make_graph(*chain), store)
    assert {view.stage: view.state for view in views.values()} == {"net": "failed", "clean": "blocked", "alone": "done"}
    failed = views[net.key]
    assert failed.record is not None
    assert failed.record.failure is not None
    assert (failed.record.failure.message, failed.seconds) == ("out of memory", None)
    assert failed.log == str(store.log_file(net.key))
    assert failed.failure_file == store.name_failure(net.key)
    assert views[alone.key].seconds == 7.0
    assert count_states(views.values()) == {"done": 1, "failed": 1, "blocked": 1}
    assert tell_standing(list(views.values())) == "3 tasks:"


def test_a_task_that_a_process_works_on_is_running(chain, make_graph, store) -> None:
    net, *_ = chain
    with store.working_on(net.key):
        assert survey(make_graph(*chain), store)[net.key].state == "running"
    assert survey(make_graph(*chain), store)[net.key].state == "open"


def test_a_record_that_was_edited_is_unusable_and_said_to_be(chain, make_graph, make_record, store) -> None:
    net, clean, _ = chain
    commit(store, make_record(net))
    file = store.folder(net.key) / "record.json"
    file.write_text(file.read_text().replace('"seconds": 1.5', '"seconds": 9.5'))
    views = survey(make_graph(*chain), store)
    assert (views[net.key].state, views[clean.key].state) == ("unusable", "blocked")
    assert str(file) in (views[net.key].reason or "")


def test_forecasts_are_those_of_the_file_and_estimates_those_of_the_store(make_task, make_graph, store) -> None:
    task = make_task("net", "train", expected_seconds=60)
    graph = make_graph(task)
    costs = {"byhand/full/net": [10.0, 30.0, 20.0]}
    (view,) = survey_tasks(graph, store, StoreSource(store, set(graph.tasks)), costs).values()
    assert (view.expected_s, view.estimate_s) == (60, 20.0)


def test_all_done_is_said(make_view) -> None:
    assert tell_standing([make_view("a"), make_view("b")]) == "All 2 tasks are done."
