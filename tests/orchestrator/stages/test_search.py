"""The search stage without Ray: every point once, the best one chosen, failures told apart. The stream is a stub."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapt.errors import TaskError
from adapt.tta.method import NotFiniteError
from adapt.tta.settings import EtaSettings
from experiments.schema import SearchStage, StreamStage
from experiments.search import METHOD_FILE, TRIALS_FILE, parse_method
from experiments.task import Task
from orchestrator.execute import execute
from orchestrator.record import Cell, Network
from orchestrator.sampling import NoPoint
from orchestrator.stages import stream
from orchestrator.stages.stage import StageContext, StageResult
from orchestrator.stages.trial import Trial
from orchestrator.stages.trial_book import OUTCOMES, TrialBook
from orchestrator.store import Store

TOY = Network(architecture="Toy", parameters=7, checkpoint_sha256=None, trained_by=None, weights=None)
STREAM = {"kind": "continual", "domains": [{"dataset": "fog"}, {"dataset": "night"}], "seed": 5}


def build_search(space: dict[str, Any], **fields: Any) -> Task:
    settings = SearchStage.model_validate(
        {
            "kind": "search",
            "checkpoint": "0" * 32,
            "method": {"name": "eta", "margin": 0.3},
            "reset": {"policy": "every_n", "n": 9},
            "on_non_finite": "stop",
            "search": {"stream": STREAM, "space": space, **fields},
        }
    )
    return Task(key="a" * 32, stage="weather.search", kind="search", point={}, settings=settings, label="weather")


def make_result(*percent: int) -> StageResult:
    """Return a result whose cells have these scores in percent: both classes 2p / (2p + 2 (100 - p))."""
    cells = [
        Cell(
            name=f"0/{n}", axes={"round": 0, "domain": str(n)}, frames=1, confusion=((2 * p, 100 - p), (100 - p, 2 * p))
        )
        for n, p in enumerate(percent)
    ]
    return StageResult(network=TOY, cells=tuple(cells))


class Stub:
    """Stands for the stream: gives what the learning rate says, and notes every call."""

    def __init__(self, results: Mapping[float, StageResult | BaseException]) -> None:
        self.results = dict(results)
        self.calls: list[tuple[Task, StageContext]] = []

    @property
    def lrs(self) -> list[float]:
        return [task.settings.method.lr for task, _ in self.calls]

    def run(self, task: Task, context: StageContext) -> StageResult:
        self.calls.append((task, context))
        (context.folder / "manifest.json").write_text("[]")
        context.on_step(1, {"loss": 0.5})
        result = self.results[task.settings.method.lr]
        if isinstance(result, BaseException):
            raise result
        return result


@pytest.fixture
def search(store: Store, assign, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a search to its record, as `run-task` does; `steps` takes the live scalars."""

    def run(stub: Stub, task: Task, steps: list[tuple[int, dict[str, float]]] | None = None) -> Any:
        monkeypatch.setattr(stream, "run", stub.run)
        return execute(
            assign(task), store, lambda step, values: steps.append((step, dict(values))) if steps is not None else None
        )

    return run


def test_every_point_is_tried_and_the_best_one_is_kept(search, store: Store) -> None:
    stub = Stub({0.1: make_result(40, 50), 0.2: make_result(80, 60), 0.3: make_result(90, 30)})
    task, steps = build_search({"lr": [0.1, 0.2, 0.3]}), []
    record = search(stub, task, steps)
    assert record.status == "done", record.failure
    folder = store.folder(task.key)
    chosen = EtaSettings(margin=0.3, lr=0.2)
    assert parse_method((folder / METHOD_FILE).read_text()) == chosen
    assert record.metrics == {"trials": 3, "failed_trials": 0, "best_miou": pytest.approx(0.70)}
    assert record.method == {"name": "eta", "settings": chosen.model_dump(mode="json"), "trial": 1}
    assert record.network == TOY
    assert (record.protocol, record.cells) == (None, ())
    assert set(record.files) == {METHOD_FILE, TRIALS_FILE}
    listed = json.loads((folder / TRIALS_FILE).read_text())
    assert [(entry["point"], entry["status"], entry["reason"]) for entry in listed] == [
        ({"lr": lr}, "done", None) for lr in (0.1, 0.2, 0.3)
    ]
    assert [entry["score"] for entry in listed] == pytest.approx([0.45, 0.70, 0.60])
    assert all(entry["seconds"] >= 0 for entry in listed)
    assert [step for step, _ in steps] == [0, 1, 2, 3]
    assert steps[0][1] == {"trials": 3.0, "progress": 0.0}
    assert [values["miou"] for _, values in steps[1:]] == pytest.approx([0.45, 0.70, 0.70])
    assert steps[2][1]["progress"] == pytest.approx(2 / 3)


def test_a_trial_is_the_stream_stage_on_the_validation_stream(search, store: Store) -> None:
    stub = Stub({0.1: make_result(40)})
    task = build_search({"lr": [0.1]})
    assert search(stub, task).status == "done"
    ((trial, context),) = stub.calls
    assert trial.kind == "stream"
    assert trial.settings == StreamStage.model_validate(
        {
            "kind": "stream",
            "checkpoint": "0" * 32,
            "method": {"name": "eta", "margin": 0.3, "lr": 0.1},
            "reset": {"policy": "every_n", "n": 9},
            "on_non_finite": "stop",
            "stream": STREAM,
        }
    )
    assert context.folder.is_relative_to(store.scratch(task.key)), "a trial leaves files outside the scratch folder"
    assert sorted(os.listdir(store.folder(task.key))) == [METHOD_FILE, "record.json", TRIALS_FILE]


def test_of_equal_scores_the_earlier_point_is_chosen(search, store: Store) -> None:
    stub = Stub({0.3: make_result(40), 0.1: make_result(70), 0.2: make_result(70)})
    task = build_search({"lr": [0.3, 0.1, 0.2]})
    assert search(stub, task).method["trial"] == 1
    assert parse_method((store.folder(task.key) / METHOD_FILE).read_text()).lr == 0.1


def test_a_trial_that_diverges_has_a_reason_and_no_score(search, store: Store) -> None:
    stub = Stub({0.1: NotFiniteError("the loss is nan."), 0.2: make_result(20), 0.3: TaskError("stopped.")})
    task = build_search({"lr": [0.1, 0.2, 0.3]})
    record = search(stub, task)
    assert record.status == "done"
    assert record.metrics == {"trials": 3, "failed_trials": 2, "best_miou": pytest.approx(0.2)}
    listed = json.loads((store.folder(task.key) / TRIALS_FILE).read_text())
    assert [(entry["status"], entry["score"] is None, entry["reason"]) for entry in listed] == [
        ("failed", True, "the loss is nan."), ("done", False, None), ("failed", True, "stopped."),
    ]  # fmt: skip


def test_a_validation_stream_without_labels_gives_no_score(search) -> None:
    record = search(Stub({0.1: make_result(50, 50), 0.2: empty()}), build_search({"lr": [0.1, 0.2]}))
    assert record.metrics["failed_trials"] == 1


def empty() -> StageResult:
    cell = Cell(name="0/b", axes={"round": 0, "domain": "b"}, frames=1, confusion=((0, 0), (0, 0)))
    return StageResult(network=TOY, cells=(*make_result(90).cells, cell))


def test_where_no_trial_has_a_score_the_search_fails_and_the_next_attempt_tries_again(search) -> None:
    stub = Stub({0.1: TaskError("the loss is nan."), 0.2: TaskError("stopped.")})
    task = build_search({"lr": [0.1, 0.2]})
    record = search(stub, task)
    assert record.failure.kind == "TaskError"
    assert record.failure.message.startswith(
        "None of the 2 trials of the search has a score. The first, lr=0.1: the loss is nan."
    )
    stub.results[0.2] = make_result(10)
    assert search(stub, task).metrics["failed_trials"] == 1
    assert stub.lrs == [0.1, 0.2, 0.1, 0.2]


def test_an_error_that_is_none_of_the_points_fails_the_search(search) -> None:
    stub = Stub({0.1: make_result(10), 0.2: ZeroDivisionError("no pixels"), 0.3: make_result(20)})
    record = search(stub, build_search({"lr": [0.1, 0.2, 0.3]}))
    assert record.failure.kind == "ZeroDivisionError"
    assert stub.lrs == [0.1, 0.2]


def test_an_interrupted_search_repeats_no_finished_trial(search, store: Store) -> None:
    """The trial that diverged is finished too; the one that was interrupted is made again."""
    stub = Stub({0.1: make_result(10), 0.2: TaskError("nan"), 0.3: KeyboardInterrupt(), 0.4: make_result(5)})
    task, steps = build_search({"lr": [0.1, 0.2, 0.3, 0.4]}), []
    with pytest.raises(KeyboardInterrupt):
        search(stub, task)
    stub.results[0.3] = make_result(30)
    record = search(stub, task, steps)
    assert stub.lrs == [0.1, 0.2, 0.3, 0.3, 0.4]
    assert record.method["trial"] == 2
    assert record.metrics["failed_trials"] == 1
    assert steps[0] == (2, {"trials": 4.0, "progress": 0.5, "miou": pytest.approx(0.1)})


def test_a_trial_is_known_by_all_settings_of_its_method(tmp_path: Path) -> None:
    def list_trials(task: Task, folder: Path) -> list[Trial]:
        context = StageContext(folder, folder, {}, {}, {}, 1, 0, lambda step, values: None)
        return list(iter(TrialBook(task, context).next, NoPoint.NEVER))

    first = list_trials(build_search({"lr": [0.1, 0.2]}), tmp_path / "a")
    again = list_trials(build_search({"lr": [0.2], "margin": [0.3, 0.4]}), tmp_path / "b")
    assert [trial.file.parent for trial in first] == [tmp_path / "a" / OUTCOMES] * 2
    assert again[0].file.name == first[1].file.name, "0.3 is the margin that the search starts from"
    assert len({trial.file.name for trial in (*first, *again)}) == 3
