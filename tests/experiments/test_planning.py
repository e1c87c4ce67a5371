"""The first profile that can run is chosen, what is missing is listed, and nothing heavy is imported on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapt.data.cache import CacheSettings
from adapt.errors import PrerequisiteError, SpecError
from experiments.load import list_experiments, list_profiles, load_experiment
from experiments.planning import plan_experiment
from experiments.workspace import Workspace

Write = Callable[..., Path]

GPUS = """\
title: profiles that ask for GPUs
datasets:
  test: {type: cityscapes, split: val}
models:
  net: {config: cgnet_small}
miniature: {seed: 0}
stages:
  clean: {kind: evaluate, model: net, dataset: test}
  grid: {kind: benchmark, model: net, dataset: test, resources: {gpus: 0}}
profiles:
  pair: {resources: {gpus: 2}}
  half: {resources: {gpus: 0.5}}
  none: {resources: {gpus: 0}}
"""

REAL = """\
title: real data, then the miniature
datasets:
  test: {type: cityscapes, split: val}
  other: {type: acdc, split: val}
models:
  net: {config: cgnet_small, weights: gone.pth}
stages:
  clean: {kind: evaluate, model: net, dataset: test}
  weather: {kind: evaluate, model: net, dataset: other}
profiles:
  full: {}
  mini: {miniature: {seed: 0}, models: {net: {weights: null}}}
"""


@pytest.mark.parametrize(
    ("gpus", "profile", "passed_over"),
    [
        (None, "pair", {}),
        (2, "pair", {}),
        (1, "half", {"pair": "stage 'clean' asks for 2 GPU(s) and this machine has 1"}),
        (
            0,
            "none",
            {
                "pair": "stage 'clean' asks for 2 GPU(s) and this machine has 0",
                "half": "stage 'clean' asks for 0.5 GPU(s) and this machine has 0",
            },
        ),
    ],
)
def test_the_first_profile_that_can_run_is_chosen(
    write: Write, gpus: int | None, profile: str, passed_over: dict[str, str]
) -> None:
    plan = plan_experiment(str(write(GPUS)), Workspace(), gpus=gpus)
    assert plan.graph.profile == plan.loaded.profile == profile
    assert plan.problems == ()
    assert plan.passed_over == passed_over
    plan.require()


def test_the_order_is_that_of_the_file(write: Write) -> None:
    head, _, profiles = GPUS.partition("profiles:\n")
    backwards = "\n".join(reversed(profiles.splitlines()))
    plan = plan_experiment(str(write(f"{head}profiles:\n{backwards}\n")), Workspace(), gpus=None)
    assert plan.graph.profile == "none"


def test_a_profile_that_was_asked_for_is_kept_with_its_problems(write: Write) -> None:
    plan = plan_experiment(str(write(GPUS)), Workspace(), profile="pair", gpus=1)
    assert plan.graph.profile == "pair"
    assert plan.passed_over == {}
    assert plan.problems == (
        "stage 'clean' asks for 2 GPU(s) and this machine has 1. Use another profile (--profile), "
        "a cluster (--address), or the override resources.gpus=0.",
    )
    with pytest.raises(PrerequisiteError) as caught:
        plan.require()
    assert str(caught.value).startswith("test (pair profile) cannot run here:\n  - stage 'clean' asks for 2 GPU(s)")


def test_the_override_that_a_gpu_problem_names_mends_it(write: Write) -> None:
    plan = plan_experiment(str(write(GPUS)), Workspace(), profile="pair", overrides=["resources.gpus=0"], gpus=0)
    assert plan.problems == ()


WORKERS = """\
title: workers
datasets: {source: {type: gta, split: train}}
models: {net: {config: cgnet_small}}
miniature: {seed: 0}
resources: {cpus: 1.5, gpus: 1}
stages:
  train: {kind: train, model: net, dataset: source, training: {workers: 2}}
"""


@pytest.mark.parametrize(
    ("cpus", "gpus", "problem"),
    [
        (3, 2, None),
        (None, None, None),
        (4, 1, "stage 'train' asks for 1 GPU(s) for each of 2 workers and this machine has 1. "),
        (2, 2, "stage 'train' asks for 1.5 CPU(s) for each of 2 workers and this machine has 2. "),
    ],
)
def test_workers_that_can_never_fit_are_a_problem(
    write: Write, cpus: int | None, gpus: int | None, problem: str | None
) -> None:
    plan = plan_experiment(str(write(WORKERS)), Workspace(), gpus=gpus, cpus=cpus)
    assert [found[: len(problem or "")] for found in plan.problems] == ([] if problem is None else [problem])


def test_the_cache_of_the_workspace_comes_along(write: Write, tmp_path: Path) -> None:
    cache = CacheSettings(folder=tmp_path, max_gb=3)
    assert plan_experiment(str(write(GPUS)), Workspace(cache=cache), gpus=None).cache == cache
    assert plan_experiment(str(write(GPUS)), Workspace(), gpus=None).cache is None


def test_an_unknown_profile_is_refused(write: Write) -> None:
    with pytest.raises(SpecError, match=r"unknown profile 'halff'\. Did you mean 'half'\?"):
        plan_experiment(str(write(GPUS)), Workspace(), profile="halff")


def test_missing_weights_and_data_are_all_listed(write: Write, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    plan = plan_experiment(str(write(REAL)), Workspace(data=tmp_path / "data"), profile="full", gpus=None)
    assert len(plan.graph.tasks) == 2
    assert len(plan.problems) == 3
    told = "\n".join(plan.problems)
    for part in ("data set 'test': ", "data set 'other': ", "model 'net': weight file 'gone.pth' was not found"):
        assert told.count(part) == 1
    with pytest.raises(PrerequisiteError) as caught:
        plan.require()
    assert all(f"\n  - {problem}" in str(caught.value) for problem in plan.problems)


def test_the_miniature_stands_in_for_missing_data(write: Write) -> None:
    plan = plan_experiment(str(write(REAL)), Workspace())
    assert plan.graph.profile == "mini"
    assert plan.problems == ()
    assert plan.passed_over == {"full": "data set 'test': no folder for cityscapes is configured"}


def test_where_no_profile_can_run_the_last_is_shown_with_why_not_the_others(write: Write) -> None:
    text = REAL.replace("models: {net: {weights: null}}", "models: {net: {weights: absent.pth}}")
    plan = plan_experiment(str(write(text)), Workspace())
    assert plan.graph.profile == "mini"
    assert [problem.partition(" (")[0] for problem in plan.problems] == [
        "model 'net': weight file 'absent.pth' was not found"
    ]
    with pytest.raises(PrerequisiteError) as caught:
        plan.require()
    assert str(caught.value).endswith(
        "\nProfiles tried before: full: data set 'test': no folder for cityscapes is configured"
    )


@pytest.mark.parametrize("name", list_experiments())
def test_every_shipped_experiment_plans_under_each_profile_without_data(name: str, tmp_path: Path) -> None:
    for profile in list_profiles(name):
        plan = plan_experiment(name, Workspace(store=tmp_path), profile=profile, gpus=None)
        assert plan.graph.tasks
        assert plan.graph.leaderboards
        if load_experiment(name, profile).settings.miniature is not None:
            assert plan.problems == ()
        else:
            assert plan.problems, "without data, a profile on real data cannot run"
            assert all(problem.startswith(("data set '", "model '")) for problem in plan.problems)
    assert list(tmp_path.iterdir()) == [], "planning starts and writes nothing"


def test_a_small_machine_runs_gta2cityscapes_on_the_miniature(tmp_path: Path) -> None:
    plan = plan_experiment("gta2cityscapes", Workspace(store=tmp_path), gpus=0)
    assert plan.graph.profile == "mini"
    assert plan.problems == ()
    assert set(plan.passed_over) == {"full"}


PLAN_AND_TELL = """\
import json, sys
from pathlib import Path
from experiments.planning import plan_experiment
from experiments.workspace import Workspace
plan = plan_experiment("gta2cityscapes", Workspace(store=Path(sys.argv[1])), profile="mini")
heavy = ("torch", "torchvision", "ray", "mlflow", "mmseg", "mmengine", "mmcv", "cv2", "scipy", "albumentations")
print(json.dumps({
    "problems": plan.problems,
    "tasks": [[task.key, task.name, dict(task.inputs)] for task in plan.graph.tasks.values()],
    "nodes": [task.name for task in plan.graph.nodes],
    "heavy": [name for name in heavy if name in sys.modules],
}))
"""


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The mini profile of gta2cityscapes as two fresh processes with other hash seeds, folders and stores plan it."""
    running = []
    for seed in ("1", "4711"):
        folder = tmp_path_factory.mktemp(f"process{seed}")
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PLAN_AND_TELL, str(folder / "store")]
        running.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True))
    told = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    return [json.loads(text) for text in told]


def test_planning_imports_nothing_heavy(plans: list[dict[str, Any]]) -> None:
    assert plans[0]["heavy"] == []
    assert plans[0]["problems"] == []


def test_every_process_plans_the_same(plans: list[dict[str, Any]]) -> None:
    assert len(plans[0]["tasks"]) > 1
    assert plans[0] == plans[1]


def test_a_named_data_folder_is_never_replaced_by_the_miniature(tmp_path: Path) -> None:
    file, data = tmp_path / "real.yaml", tmp_path / "data"
    file.write_text(REAL)
    data.mkdir()
    workspace = Workspace(data=data, store=tmp_path / "store")
    assert plan_experiment(str(file), workspace).graph.profile == "mini"
    plan = plan_experiment(str(file), workspace, wants_data=True)
    assert plan.graph.profile == "full"
    assert "cityscapes" in plan.problems[0]
    assert plan.problems[-1].endswith("say --profile mini.")
    assert plan_experiment(str(file), workspace, "mini", wants_data=True).problems == ()
