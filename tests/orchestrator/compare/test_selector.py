"""What a name on the command line means: a row of a leaderboard or a task, and what is said where it means nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from adapt.errors import PrerequisiteError, SpecError
from orchestrator.compare.comparison import compare_sides
from orchestrator.compare.selector import Selector, require_complete
from orchestrator.compare.side import Side, match_sides
from orchestrator.leaderboard.entry import dump_entry, make_entry
from orchestrator.leaderboard.publish import make_board
from orchestrator.leaderboard.source import StoreSource
from orchestrator.protocol import describe_protocol
from tests.orchestrator.compare.conftest import draw_counts


@pytest.fixture
def world(make_task, make_graph, make_plan, finish, store) -> dict[str, Any]:
    """Two networks of two seeds, each evaluated; `open` has one seed without a result."""
    tasks, records = [], {}
    for label in ("plain", "a/b (x=1)", "open"):
        for seed in (0, 1):
            trained = make_task(f"train {label}", "train", point={"seed": seed}, seed=seed, label=label)
            task = make_task("clean", point={"seed": seed, "trained": f"${{train {label}.checkpoint}}"}, needs=trained)
            tasks += [trained, task]
            if (label, seed) != ("open", 1):
                protocol = json.loads(json.dumps(describe_protocol(task)))
                records[label, seed] = finish(task, draw_counts(("clean",), 0.4 + 0.1 * len(label)), protocol=protocol)
    plan = make_plan(make_graph(*tasks))
    plan.graph.__dict__["name"] = "study"
    return {"plan": plan, "records": records, "tasks": tasks}


@pytest.fixture
def select(world, store) -> Callable[[str], list[Side]]:
    def make_plan(name: str) -> Any:
        assert name in ("study", "folder/study.yaml")
        return world["plan"]

    return Selector(store, make_plan).select


def test_a_row_is_named_as_its_leaderboard_shows_it(select, world) -> None:
    (side,) = select("study/plain")
    assert (side.name, side.title) == ("plain", "Clean: cityscapes val")
    assert [record.key for record in side.records] == [world["records"]["plain", seed].key for seed in (0, 1)]


def test_slashes_in_paths_and_in_entries_are_understood(select) -> None:
    assert select("folder/study.yaml/a/b (x=1)")[0].name == "a/b (x=1)"
    assert select("study/a/b (x=1)")[0].name == "a/b (x=1)"


def test_rows_can_be_compared_with_rows_and_with_tasks(select, world) -> None:
    (sides,) = match_sides(
        [select("study/plain"), select("study/a/b (x=1)"), select(world["records"]["open", 0].key[:10])]
    )
    comparison = compare_sides(sides)
    assert comparison.sides[:2] == ("plain", "a/b (x=1)")
    assert [len(comparison.keys[name]) for name in comparison.sides] == [2, 2, 1]


def test_the_file_of_an_entry_means_its_tasks(select, world, store, tmp_path) -> None:
    plan = world["plan"]
    (table,) = make_board(plan, StoreSource(store, set(plan.graph.tasks))).tables
    row = next(row for row in table.rows if row.entry == "plain")
    file = tmp_path / "plain.json"
    file.write_text(dump_entry(make_entry(row, table.protocol, table.title, False)))
    (side,) = select(str(file))
    assert (side.name, [record.key for record in side.records]) == ("plain", list(row.keys))
    assert match_sides([[side], select("study/a/b (x=1)")])
    store.remove(row.keys[1])
    with pytest.raises(PrerequisiteError, match="1 of the 2 tasks behind the entry 'plain' are in the store"):
        select(str(file))


def test_the_closest_entries_are_named_whatever_their_case(select) -> None:
    with pytest.raises(
        SpecError, match=r"study/PLAIM: the leaderboard of study .* has no entry 'PLAIM'. Close to it: 'study/plain'"
    ):
        select("study/PLAIM")


@pytest.mark.parametrize("text", ["zzz", ""])
def test_what_is_neither_row_nor_task_is_said_to_be_so(text: str, select) -> None:
    with pytest.raises(SpecError, match="is no row and no task of the store"):
        select(text)


def test_digits_of_several_keys_are_listed(select, world) -> None:
    firsts = [record.key[0] for record in world["records"].values()]
    shared = next((digit for digit in firsts if firsts.count(digit) > 1), None)
    assert shared is not None, "the keys of the world share no first digit: give its tasks other names"
    with pytest.raises(SpecError, match=f"begins the keys of {firsts.count(shared)} finished tasks"):
        select(shared)


def test_a_task_that_scores_nothing_is_refused(select, store, make_task, make_record) -> None:
    task = make_task("net", "train")
    store.folder(task.key).mkdir(parents=True)
    store.commit(make_record(task))
    with pytest.raises(SpecError, match="is of kind 'train' and has no score"):
        select(task.key)


def test_a_row_with_a_missing_run_says_what_to_run(select) -> None:
    matches = match_sides([select("study/plain"), select("study/open")])
    with pytest.raises(PrerequisiteError, match=r"1 of 2 runs of 'open' have no usable result.*segshift sweep study"):
        require_complete(matches)


def test_a_record_that_was_edited_is_named(select, world, store) -> None:
    record = world["records"]["plain", 1]
    file = store.folder(record.key) / "record.json"
    file.write_text(file.read_text().replace('"seconds": 1.5', '"seconds": 2.5'))
    with pytest.raises(PrerequisiteError, match=rf"1 of 2 runs of 'plain' have no usable result; task {record.key}"):
        require_complete(match_sides([select("study/plain"), select("study/a/b (x=1)")]))
    with pytest.raises(PrerequisiteError, match="record"):
        select(record.key)


def test_tables_in_which_all_are_complete_are_kept() -> None:
    def make(title: str, problem: str | None = None) -> Side:
        return Side("a", title, {"kind": title}, (), lambda key, file: None, problem=problem)

    left, notes = require_complete([(make("clean"), make("clean", "nothing there.")), (make("fog"), make("fog"))])
    assert [sides[0].title for sides in left] == ["fog"]
    assert notes == ["clean is left out: nothing there."]


def test_what_stands_in_brackets_may_be_left_out_of_a_name(select) -> None:
    assert [side.name for side in select("study/a/b")] == [side.name for side in select("study/a/b (x=1)")]
