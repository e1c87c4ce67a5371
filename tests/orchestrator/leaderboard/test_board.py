"""Records to tables: ranks, ties, seeds, gaps and protocols, worked by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from experiments.schema import GapSettings
from experiments.task import Task
from orchestrator.leaderboard.board import Board, build_board
from orchestrator.leaderboard.row import Row
from orchestrator.record import Record
from tests.orchestrator.leaderboard.sources import Records

PERFECT = ((4, 0), (0, 4))  # mIoU 1
GOOD = ((3, 1), (1, 3))  # 0.6
HALF = ((2, 1), (1, 2))  # 2/4 and 2/4: 0.5
POOR = ((1, 2), (2, 1))  # 0.2
NOTHING = ((0, 0), (0, 0))  # no pixel counted: no score


@pytest.fixture
def board(make_task, make_graph, make_record) -> Callable[..., Board]:
    """Build the board of (task, confusion) pairs; a confusion of None is a run without a record."""

    def build(*runs: tuple[Task, Any], trained: tuple[Task, ...] = (), **options: Any) -> Board:
        records: dict[str, Record] = {
            task.key: make_record(task, {"clean": ({}, confusion)}) for task, confusion in runs if confusion is not None
        }
        graph = make_graph(*trained, *(task for task, _ in runs))
        return build_board(graph, Records(records), options.pop("miniature", False), **options)

    return build


@pytest.fixture
def networks(make_task) -> dict[str, list[Task]]:
    """Three trained networks of three seeds each."""
    return {
        label: [make_task(label, "train", point={"seed": seed}, seed=seed, label=label) for seed in range(3)]
        for label in ("a", "b", "c")
    }


def evaluate(make_task: Callable[..., Task], trained: Task, **settings: Any) -> Task:
    point = {**trained.point, "trained": f"${{{trained.stage}.checkpoint}}"}
    return make_task("clean", point=point, needs=trained, **settings)


def test_rows_are_ranked_by_mean_and_ties_share_a_rank(board, networks, make_task) -> None:
    runs = [(evaluate(make_task, networks[n][0]), c) for n, c in (("a", POOR), ("b", GOOD), ("c", GOOD))]
    (table,) = board(*runs, trained=tuple(networks[n][0] for n in "abc")).tables
    assert [(row.rank, row.entry, row.scores["mIoU"].mean) for row in table.rows] == [
        (1, "b", pytest.approx(0.6)),
        (1, "c", pytest.approx(0.6)),
        (3, "a", pytest.approx(0.2)),
    ]
    assert table.columns == ("mIoU", "IoU/road", "IoU/traffic light")
    assert table.details == ("IoU/road", "IoU/traffic light")
    assert table.title == "Clean: cityscapes val"


def test_seeds_are_pooled_into_mean_and_sample_deviation(board, networks, make_task) -> None:
    """1, 0.6, 0.2: mean 0.6; deviations 0.4, 0, -0.4: sample variance 0.32 / 2 = 0.16, std 0.4."""
    runs = [(evaluate(make_task, t), c) for t, c in zip(networks["a"], (PERFECT, GOOD, POOR), strict=True)]
    (table,) = board(*runs, trained=tuple(networks["a"])).tables
    (row,) = table.rows
    assert (row.seeds, row.runs, row.reason, row.axes) == (3, 3, None, {})
    assert row.scores["mIoU"].mean == pytest.approx(0.6)
    assert row.scores["mIoU"].std == pytest.approx(0.4)
    assert row.scores["mIoU"].values == pytest.approx((1.0, 0.6, 0.2))
    assert row.keys == tuple(task.key for task, _ in runs)
    assert (row.architecture, row.parameters) == ("Toy", 7)


def test_one_seed_has_no_deviation(board, networks, make_task) -> None:
    (table,) = board((evaluate(make_task, networks["a"][0]), GOOD), trained=(networks["a"][0],)).tables
    assert table.rows[0].scores["mIoU"].std is None


def test_a_row_with_a_missing_run_is_shown_with_a_reason_and_not_ranked(board, networks, make_task) -> None:
    runs = [(evaluate(make_task, t), c) for t, c in zip(networks["a"], (PERFECT, None, PERFECT), strict=True)]
    runs += [(evaluate(make_task, t), POOR) for t in networks["b"]]
    (table,) = board(*runs, trained=(*networks["a"], *networks["b"])).tables
    assert [(row.entry, row.rank) for row in table.rows] == [("b", 1), ("a", None)]
    row = table.rows[1]
    assert row.reason == "1 of 3 runs have no result"
    assert (row.seeds, row.runs) == (2, 3)
    assert row.scores["mIoU"].mean is None
    assert row.scores["mIoU"].values == (1.0, None, 1.0)


def test_a_row_without_any_run_is_still_shown(board, networks, make_task) -> None:
    runs = [(evaluate(make_task, networks["a"][0]), None)]
    (table,) = board(*runs, trained=(networks["a"][0],)).tables
    assert table.columns == ("mIoU",)
    assert (table.rows[0].rank, table.rows[0].reason) == (None, "1 of 1 runs have no result")


def test_a_run_with_a_record_and_no_score_says_why_it_is_not_ranked(board, networks, make_task) -> None:
    runs = [(evaluate(make_task, networks["a"][0]), NOTHING), (evaluate(make_task, networks["b"][0]), GOOD)]
    (table,) = board(*runs, trained=(networks["a"][0], networks["b"][0])).tables
    row = table.rows[1]
    assert (row.entry, row.rank, row.scores["mIoU"].mean) == ("a", None, None)
    assert row.reason is not None
    assert "mIoU" in row.reason


@pytest.mark.parametrize(
    "difference", [{"limit": 5}, {"dataset": "other"}, {"fingerprint": "bytes-2"}], ids=lambda d: next(iter(d))
)
def test_two_protocols_never_share_a_table(difference: dict[str, Any], board, networks, make_task) -> None:
    a, b = networks["a"][0], networks["b"][0]
    other = evaluate(make_task, b, **difference)
    if "dataset" in difference:
        other.datasets["other"] = other.datasets["other"].__class__(
            other.datasets["other"].settings.model_copy(update={"resize": (32, 16)}), "bytes-1"
        )
    made = board((evaluate(make_task, a), GOOD), (other, GOOD), trained=(a, b))
    assert [[row.entry for row in table.rows] for table in made.tables] == [["a"], ["b"]]
    first, second = made.tables
    assert first.protocol != second.protocol


def test_equal_protocols_of_two_stages_share_a_table(board, networks, make_task) -> None:
    a, b = networks["a"][0], networks["b"][0]
    other = make_task("clean_again", needs=b)
    (table,) = board((evaluate(make_task, a), GOOD), (other, HALF), trained=(a, b)).tables
    assert [(row.entry, row.rank) for row in table.rows] == [("a", 1), ("b", 2)]


def test_a_task_that_two_stages_share_counts_once(board, networks, make_task) -> None:
    task = evaluate(make_task, networks["a"][0])
    (table,) = board((task, GOOD), (task, GOOD), trained=(networks["a"][0],)).tables
    assert (table.rows[0].seeds, table.rows[0].runs) == (1, 1)


def test_only_the_stages_that_the_leaderboard_needs_are_shown(make_task, make_graph, make_record, networks) -> None:
    a = networks["a"][0]
    shown, hidden = make_task("clean", needs=a), make_task("extra", needs=a, limit=3)
    graph = make_graph(a, shown, hidden, needs=["clean"])
    board = build_board(graph, Records({}), miniature=False)
    assert [table.title for table in board.tables] == ["Clean: cityscapes val"]
    assert len(build_board(graph, Records({}), miniature=False, stages=("clean", "extra")).tables) == 2


STREAM = {"kind": "continual", "domains": [{"dataset": "fog"}, {"dataset": "night"}]}


def stream_cells(*values: Any) -> dict[str, Any]:
    names = [(r, d) for r in range(1, len(values) // 2 + 1) for d in ("fog", "night")]
    return {f"{r}/{d}": ({"round": r, "domain": d}, value) for (r, d), value in zip(names, values, strict=True)}


def adapt(make_task: Callable[..., Task], trained: Task, method: dict[str, Any], rounds: int = 1) -> Task:
    point = {**trained.point, "trained": f"${{{trained.stage}.checkpoint}}", "method": method}
    return make_task(
        "weather", "stream", point=point, needs=trained, method=method, stream={**STREAM, "rounds": rounds}
    )


def rows_of(make_graph, trained: Task, records: dict[str, Record], *tasks: Task) -> tuple[Row, ...]:
    (table,) = build_board(make_graph(trained, *tasks), Records(records), miniature=False).tables
    return table.rows


def test_a_stream_shows_mean_drift_and_domains(make_task, make_graph, make_record, networks) -> None:
    """Fog 1, 1; night 0.6, 0.2: rounds 0.8 and 0.6, mean 0.7, drift -0.2, night 0.4."""
    task = adapt(make_task, networks["a"][0], {"name": "tent"}, rounds=2)
    record = make_record(task, stream_cells(PERFECT, GOOD, PERFECT, POOR))
    (row,) = rows_of(make_graph, networks["a"][0], {task.key: record}, task)
    assert row.entry == "a + tent"
    assert {name: score.mean for name, score in row.scores.items()} == {
        "mean mIoU": pytest.approx(0.7),
        "drift": pytest.approx(-0.2),
        "forgetting": pytest.approx(0.2),
        "fog": pytest.approx(1.0),
        "night": pytest.approx(0.4),
        "round 1": pytest.approx(0.8),
        "round 2": pytest.approx(0.6),
    }
    assert next(iter(row.scores)) == "mean mIoU"


def test_a_stream_of_one_round_shows_no_drift(make_task, make_graph, make_record, networks) -> None:
    task = adapt(make_task, networks["a"][0], {"name": "tent"})
    record = make_record(task, stream_cells(PERFECT, GOOD))
    (row,) = rows_of(make_graph, networks["a"][0], {task.key: record}, task)
    assert list(row.scores) == ["mean mIoU", "fog", "night"]


def test_two_settings_of_one_method_are_two_entries_and_not_two_seeds(
    make_task, make_graph, make_record, networks
) -> None:
    a = networks["a"][0]
    tasks = [adapt(make_task, a, {"name": "tent", "lr": lr}) for lr in (1e-5, 1e-4)]
    records = {
        task.key: make_record(task, stream_cells(value, value)) for task, value in zip(tasks, (GOOD, POOR), strict=True)
    }
    rows = rows_of(make_graph, a, records, *tasks)
    assert [(row.rank, row.seeds, row.scores["mean mIoU"].mean) for row in rows] == [
        (1, 1, pytest.approx(0.6)),
        (2, 1, pytest.approx(0.2)),
    ]
    assert len({row.entry for row in rows}) == 2
    assert all("tent" in row.entry for row in rows)


def test_methods_are_entries_and_seeds_are_pooled(make_task, make_graph, make_record, networks) -> None:
    tasks = [adapt(make_task, t, {"name": name}) for t in networks["a"][:2] for name in ("source", "tent")]
    graph = make_graph(*networks["a"][:2], *tasks)
    records = {task.key: make_record(task, stream_cells(GOOD, GOOD)) for task in tasks}
    (table,) = build_board(graph, Records(records), miniature=False).tables
    assert sorted((row.entry, row.seeds) for row in table.rows) == [("a + source", 2), ("a + tent", 2)]


def test_other_axes_tell_entries_apart(make_task, make_graph, make_record) -> None:
    trained = [
        make_task("a", "train", point={"seed": 0, "lr": lr}, training={"optimizer": {"lr": lr}}) for lr in (0.1, 0.2)
    ]
    tasks = [make_task("clean", point=dict(t.point), needs=t) for t in trained]
    records = {task.key: make_record(task, {"clean": ({}, GOOD)}) for task in tasks}
    (table,) = build_board(make_graph(*trained, *tasks), Records(records), miniature=False).tables
    assert [row.entry for row in table.rows] == ["a (lr=0.1)", "a (lr=0.2)"]


def test_a_board_is_plain_json(board, networks, make_task) -> None:
    made = board((evaluate(make_task, networks["a"][0]), GOOD), trained=(networks["a"][0],), miniature=True)
    data = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert data["miniature"] is True
    assert math.isclose(data["tables"][0]["rows"][0]["scores"]["mIoU"]["mean"], 0.6)


def test_only_tasks_that_differ_in_nothing_but_the_seed_are_pooled(board, make_task) -> None:
    """Two training lengths under one label are two entries, told apart by their stages."""
    short = [
        make_task("short", "train", point={"seed": s}, seed=s, label="same", training={"iterations": 5}) for s in (0, 1)
    ]
    long = make_task("long", "train", point={"seed": 0}, seed=0, label="same", training={"iterations": 9})
    runs = [
        (evaluate(make_task, short[0]), GOOD),
        (evaluate(make_task, short[1]), POOR),
        (evaluate(make_task, long), HALF),
    ]
    (table,) = board(*runs, trained=(*short, long)).tables
    assert [(row.entry, row.seeds, row.scores["mIoU"].mean) for row in table.rows] == [
        ("same [long]", 1, pytest.approx(0.5)),
        ("same [short]", 2, pytest.approx(0.4)),
    ]


def test_two_settings_of_one_name_on_an_axis_are_two_entries(board, make_task) -> None:
    """The axis shows the name alone where that is enough, and all settings where it is not."""
    trained = [
        make_task("da", "train", point={"how": {"name": "x", "lr": lr}}, label="da", training={"optimizer": {"lr": lr}})
        for lr in (0.1, 0.2)
    ]
    runs = [(evaluate(make_task, trained[0]), GOOD), (evaluate(make_task, trained[1]), POOR)]
    (table,) = board(*runs, trained=tuple(trained)).tables
    assert [row.entry for row in table.rows] == ["da (how=x(lr=0.1))", "da (how=x(lr=0.2))"]
    assert [row.runs for row in table.rows] == [1, 1]


def test_classes_are_details_of_an_evaluation(board, networks, make_task) -> None:
    """((2, 0), (1, 1)): road 2 of 3 pixels, traffic light 1 of 2."""
    made = board((evaluate(make_task, networks["a"][0]), ((2, 0), (1, 1))), trained=(networks["a"][0],))
    (row,) = made.tables[0].rows
    assert {name: score.mean for name, score in row.scores.items()} == {
        "mIoU": pytest.approx((2 / 3 + 1 / 2) / 2),
        "IoU/road": pytest.approx(2 / 3),
        "IoU/traffic light": pytest.approx(1 / 2),
    }


def test_a_class_that_occurs_nowhere_is_no_zero(board, networks, make_task) -> None:
    made = board((evaluate(make_task, networks["a"][0]), ((2, 0), (0, 0))), trained=(networks["a"][0],))
    (row,) = made.tables[0].rows
    assert (row.scores["mIoU"].mean, row.scores["IoU/traffic light"].mean) == (1.0, None)
    assert row.rank == 1


def test_the_subsets_of_what_a_network_was_trained_on_are_shown_for_all_rows(
    make_task, make_graph, make_record
) -> None:
    """Five classes: `terrain`, `truck` and `train` are not among SYNTHIA's 16, `wall` not among its 13.

    Every class has 4 pixels; of `road` 1 goes to `truck`, of `wall` 2 to `terrain`, `bus` is right. IoU: road 3/4, wall 2/4,
    bus 1, truck 4/5, terrain 4/6. Over all five (0.75 + 0.5 + 1 + 0.8 + 2/3) / 5; 16: (0.75 + 0.5 + 1) / 3; 13: (0.75 + 1) / 2.
    """
    names = ("road", "wall", "terrain", "truck", "bus")
    confusion = ((3, 0, 0, 1, 0), (0, 2, 2, 0, 0), (0, 0, 4, 0, 0), (0, 0, 0, 4, 0), (0, 0, 0, 0, 4))
    a, b = make_task("a", "train", dataset="synthetic"), make_task("b", "train", dataset="source")
    tasks = [make_task("clean", point={"trained": f"${{{t.stage}.checkpoint}}"}, needs=t) for t in (a, b)]
    records = {task.key: make_record(task, {"clean": ({}, confusion)}, classes=names) for task in tasks}
    (table,) = build_board(make_graph(a, b, *tasks), Records(records), miniature=False).tables
    assert table.columns[:3] == ("mIoU", "mIoU16", "mIoU13")
    for row in table.rows:
        assert row.scores["mIoU"].mean == pytest.approx((0.75 + 0.5 + 1 + 0.8 + 2 / 3) / 5)
        assert row.scores["mIoU16"].mean == pytest.approx(0.75)
        assert row.scores["mIoU13"].mean == pytest.approx(0.875)
    (other,) = build_board(make_graph(b, tasks[1]), Records(records), miniature=False).tables
    assert not [name for name in other.columns if name.startswith("mIoU1")]


def test_a_gap_is_measured_where_the_leaderboard_asks_for_it(make_task, make_graph, make_record, networks) -> None:
    """0.2 and 1 are the ends: 0.6 is half of the way."""
    trained = [networks[name][0] for name in "abc"]
    tasks = [evaluate(make_task, t) for t in trained]
    other = evaluate(make_task, trained[1], limit=3)
    records = {
        task.key: make_record(task, {"clean": ({}, confusion)})
        for task, confusion in zip((*tasks, other), (POOR, GOOD, PERFECT, GOOD), strict=True)
    }
    graph = make_graph(*trained, *tasks, other, needs=["clean"], gap=GapSettings(source="a", oracle="c"))
    first, second = build_board(graph, Records(records), miniature=False).tables
    assert first.columns[:2] == ("mIoU", "gap closed")
    assert {row.entry: row.scores["gap closed"].mean for row in first.rows} == {
        "a": pytest.approx(0.0),
        "b": pytest.approx(0.5),
        "c": pytest.approx(1.0),
    }
    assert [row.entry for row in first.rows] == ["c", "b", "a"]
    (row,) = second.rows
    assert row.scores["gap closed"].reason == "no row of stage 'a' to compare with in this table"
    json.dumps(build_board(graph, Records(records), miniature=False).to_json(), allow_nan=False)


def test_a_row_without_a_run_has_its_main_score_first_beside_a_gap(make_task, make_graph, networks) -> None:
    a = networks["a"][0]
    task = evaluate(make_task, a)
    graph = make_graph(a, task, needs=["clean"], gap=GapSettings(source="a", oracle="a"))
    (table,) = build_board(graph, Records({}), miniature=False).tables
    assert table.columns == ("mIoU", "gap closed")


def test_a_label_from_an_axis_names_the_row_once(board, make_task) -> None:
    trained = [
        make_task(
            "da", "train", point={"variant": {"label": label}, "lr": lr}, label=label, training={"batch_size": size}
        )
        for label, lr, size in (("complete", 0.1, 1), ("without RCS", 0.2, 2))
    ]
    tasks = [make_task("clean", point=dict(t.point), needs=t) for t in trained]
    (table,) = board((tasks[0], GOOD), (tasks[1], POOR), trained=tuple(trained)).tables
    assert [row.entry for row in table.rows] == ["complete (lr=0.1)", "without RCS (lr=0.2)"]


def test_an_axis_of_mappings_without_names_is_shown(board, make_task) -> None:
    trained = [
        make_task("da", "train", point={"how": {"lr": lr}}, label="da", training={"optimizer": {"lr": lr}})
        for lr in (0.1, 0.2)
    ]
    tasks = [evaluate(make_task, t) for t in trained]
    (table,) = board((tasks[0], GOOD), (tasks[1], POOR), trained=tuple(trained)).tables
    assert [row.entry for row in table.rows] == ['da (how={"lr": 0.1})', 'da (how={"lr": 0.2})']


@pytest.mark.parametrize("which", ["stream", "search", "search stream"])
def test_the_seeds_of_a_stream_and_of_its_search_are_pooled(
    which, make_task, make_graph, make_record, networks
) -> None:
    """0.6 and 0.2: mean 0.4. Fog and night are frames as they are, in order: the seed is the method's alone."""
    a = networks["a"][0]
    tasks = []
    for seed in (0, 1):
        given = {name: {"seed": seed} if name == which else {} for name in ("stream", "search", "search stream")}
        validation = {"kind": "single", "domains": [{"dataset": "test"}], **given["search stream"]}
        search = {"stream": validation, "space": {"lr": {"uniform": [0.1, 0.2]}}, "trials": 2, **given["search"]}
        chooses = make_task("weather.search", "search", point={"seed": seed}, needs=a, search=search)
        stream = make_task(
            "weather",
            "stream",
            point={"seed": seed},
            needs=a,
            method={"name": "tent"},
            stream={**STREAM, **given["stream"]},
            search=search,
        )
        tasks += [chooses, replace(stream, inputs={**stream.inputs, "method": chooses.key})]
    records = {
        task.key: make_record(task, stream_cells(value, value))
        for task, value in zip(tasks[1::2], (GOOD, POOR), strict=True)
    }
    (row,) = rows_of(make_graph, a, records, *tasks)
    assert (row.runs, row.scores["mean mIoU"].mean) == (2, pytest.approx(0.4))


def test_a_seed_that_decides_what_is_seen_makes_a_table_of_its_own(make_task, make_graph, networks) -> None:
    a = networks["a"][0]
    tasks = [
        make_task("weather", "stream", point={"seed": s}, needs=a, stream={**STREAM, "kind": "mixed", "seed": s})
        for s in (0, 1)
    ]
    tables = build_board(make_graph(a, *tasks), Records({}), miniature=False).tables
    assert [[row.runs for row in table.rows] for table in tables] == [[1], [1]]


def test_a_run_that_has_no_result_says_why_where_that_is_known(make_task, make_graph, make_record) -> None:
    """Of the task itself, or of the training that it waited for."""
    trained = make_task("source_only", "train")
    failed, waiting = make_task("clean", needs=trained, limit=1), make_task("clean", needs=trained)
    missing = {failed.key: "failed with NonFiniteLoss: step 7", trained.key: "its record was changed"}
    graph = make_graph(trained, failed, waiting)
    tables = build_board(graph, Records({}, missing), miniature=False).tables
    assert [table.rows[0].reason for table in tables] == [
        "1 of 1 runs have no result: failed with NonFiniteLoss: step 7",
        "1 of 1 runs have no result: its record was changed",
    ]
    (row,) = build_board(make_graph(make_task("clean")), Records({}), miniature=False).tables[0].rows
    assert row.reason == "1 of 1 runs have no result"
