"""A population of real trainings of a small network on painted frames: what real hooks do, the stubs cannot show."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from adapt.training.rebase import RESUME_POINTS
from experiments.planning import plan_experiment
from experiments.search import TRIALS_FILE
from experiments.workspace import Workspace
from orchestrator.cli.sweep import draw_miniature
from orchestrator.driver import assign
from orchestrator.execute import execute
from orchestrator.stages.trial_book import TrialBook
from orchestrator.store import Store
from tests.orchestrator.stages.conftest import WORLD

LR = "training.optimizer.lr"
SEARCH = """\
    search:
      space: {training.optimizer.lr: {log_uniform: [1.0e-4, 1.0e-1]}, training.optimizer.weight_decay: [0.0, 0.01, 0.1]}
      trials: 4
      metric: loss
      mode: min
      scheduler: {name: pbt, interval: 4}
"""
TRAINING = """\
    training:
      iterations: 8
      log_interval: 2
      checkpoint_interval: 2
      augment: {crop: [32, 32]}
      schedule: {warmup_iterations: 0, power: 1}
"""
STAGES = {
    "train": f"  tuned:\n    kind: train\n    model: net\n    dataset: source\n{TRAINING}{SEARCH}",
    "uda": (
        "  tuned:\n    kind: uda\n    model: net\n    source: source\n    target: fog\n"
        "    method: {name: dacs}\n    validation: {dataset: source, interval: 4}\n"
        f"{TRAINING}{SEARCH}".replace("      metric: loss\n      mode: min\n", "")
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", STAGES)
def test_an_heir_trains_on_from_its_donors_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    (tmp_path / "world.yaml").write_text(WORLD + STAGES[kind])
    plan = plan_experiment(str(tmp_path / "world.yaml"), Workspace(store=tmp_path / "store", weights=tmp_path))
    draw_miniature(plan, 1, Console(file=io.StringIO()))
    (task,) = [task for task in plan.graph.tasks.values() if task.kind == kind]
    compared: list[dict[int, dict[str, Any]]] = []
    ended: dict[int, dict[str, Any]] = {}
    real_begin, real_close = TrialBook._begin_from, TrialBook.close

    def begin(book: TrialBook, donor: Any, number: int, takeover: Any) -> Any:
        heir = real_begin(book, donor, number, takeover)
        compared.append({number: read_points(heir.folder), donor.number: read_points(donor.folder)})
        return heir

    def close(book: TrialBook, trial: Any) -> None:
        if book.find_outcome(trial) is not None and (trial.folder / "work").is_dir():
            ended[trial.number] = read_points(trial.folder)
        real_close(book, trial)

    monkeypatch.setattr(TrialBook, "_begin_from", begin)
    monkeypatch.setattr(TrialBook, "close", close)
    store = Store(tmp_path / "store")
    record = execute(assign(plan, task), store, lambda step, values: None)
    assert record.status == "done", record.failure
    trials = json.loads((store.folder(task.key) / TRIALS_FILE).read_text())
    assert [trial["status"] for trial in trials] == ["done"] * 4
    ((heir, (change,)),) = [(number, trial["history"]) for number, trial in enumerate(trials) if trial["history"]]
    at = 0 if kind == "uda" else 1  # of a curve: the report of iteration 4
    scores = [dict(map(tuple, trial["curve"]))[4] for trial in trials]
    sign = -1 if kind == "train" else 1
    ranked = sorted(range(4), key=lambda number: (sign * scores[number], -number))
    assert (heir, change["donor"], change["iteration"]) == (ranked[0], ranked[-1], 4)
    assert trials[heir]["curve"][at][0] == 4

    (files,) = compared
    assert list(files[heir]) == ["inherited.pth"]
    (donors,) = files[change["donor"]].values()
    assert files[heir]["inherited.pth"]["meta"]["iter"] == donors["meta"]["iter"] == 4
    (end,) = ended[heir].values()
    assert end["meta"]["iter"] == 8
    rate = change["point"][LR]
    for group in end["optimizer"]["param_groups"]:
        assert group["initial_lr"] == pytest.approx(10 * rate if "head" in group["name"] else rate)
        assert group["weight_decay"] == (
            0 if "norm" in group["name"] else change["point"]["training.optimizer.weight_decay"]
        )
    assert trials[heir]["point"] == change["point"]


def read_points(folder: Path) -> dict[str, Any]:
    """Read the resume points of a member's folder, by name."""
    files = [*(folder / "work").glob(RESUME_POINTS), *(folder / "work").glob("inherited.pth")]
    return {file.name: torch.load(file, weights_only=True) for file in files}
