"""On what tasks ran, and in what they differ."""

from __future__ import annotations

from orchestrator.record import StoredFile
from orchestrator.report.environment import describe_environments, list_datasets, sum_disk_use

BASE = {
    "git": {"commit": "a" * 40, "dirty": False},
    "packages": {"torch": "2.13", "numpy": "2.4"},
    "python": "3.11.7",
    "host": "one",
    "cpu": "EPYC",
    "cpu_count": 2,
    "gpus": [],
}


def test_equal_environments_differ_in_nothing(make_task, make_record) -> None:
    records = [make_record(make_task(name), environment=BASE) for name in ("a", "b")]
    environment = describe_environments(records)
    assert environment.list_differences() == []
    assert [(fact.name, fact.values) for fact in environment.packages] == [
        ("numpy", (("2.4", 2),)),
        ("torch", (("2.13", 2),)),
    ]
    assert environment.code[0].values == (("aaaaaaaaaaaa", 2),)
    assert {fact.name: fact.values[0][0] for fact in environment.machines}["GPUs"] == "none"


def test_what_tasks_differ_in_is_named_but_for_the_host(make_task, make_record) -> None:
    changed = {
        **BASE,
        "host": "two",
        "packages": {"torch": "2.14"},
        "git": {"commit": "a" * 40, "dirty": True},
        "gpus": ["H100"],
    }
    records = [make_record(make_task(f"t{n}"), environment=each) for n, each in enumerate((BASE, changed, BASE))]
    environment = describe_environments(records)
    assert [fact.name for fact in environment.list_differences()] == ["commit", "GPUs", "numpy", "torch"]
    facts = {fact.name: fact.values for fact in (*environment.code, *environment.packages)}
    assert facts["torch"] == (("2.13", 2), ("2.14", 1))
    assert facts["numpy"] == (("2.4", 2), ("not installed", 1))
    assert facts["commit"] == (("aaaaaaaaaaaa", 2), ("aaaaaaaaaaaa with changes", 1))


def test_records_that_say_nothing_of_it_are_understood(make_task, make_record) -> None:
    environment = describe_environments([make_record(make_task("a"))])
    assert environment.code[0].values == (("installed, no commit known", 1),)
    assert describe_environments([]).code == ()


def test_each_state_of_a_data_set_is_listed_once(make_task) -> None:
    tasks = [make_task("a"), make_task("b"), make_task("c", fingerprint="bytes-2")]
    uses = list_datasets(task.datasets for task in tasks)
    assert [(use.name, use.fingerprint) for use in uses] == [("test", "bytes-1"), ("test", "bytes-2")]
    assert "type=cityscapes" in uses[0].asked


def test_room_is_summed_by_stage_the_largest_first(make_task, make_record) -> None:
    def make(name: str, *sizes: int):
        return make_record(
            make_task(name), files={f"f{i}": StoredFile(sha256="0", size_bytes=s) for i, s in enumerate(sizes)}
        )

    uses = sum_disk_use([make("small", 5), make("large", 100, 50), make("large", 1)])
    assert [(use.stage, use.tasks, use.files, use.size_bytes) for use in uses] == [
        ("large", 2, 3, 151),
        ("small", 1, 1, 5),
    ]
