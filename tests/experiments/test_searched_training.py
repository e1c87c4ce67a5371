"""A training with a search: what is in its key, and every way in which its search could not work is refused beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapt.errors import PrerequisiteError
from adapt.uda.settings import UdaSettings
from experiments import search as search_module
from experiments.graph import Graph
from experiments.schema import TrainStage, UdaStage
from experiments.searched_training import apply_to_stage, list_scalars
from experiments.task import Task

Expand = Callable[..., Graph]
Refuse = Callable[..., list[str]]

TUNED = """\
title: trainings whose settings are searched
datasets:
  source: {type: gta, split: train}
  target: {type: cityscapes, split: train}
  look: {type: cityscapes, split: train, every: 10}
  test: {type: cityscapes, split: val}
models:
  net: {config: cgnet_small}
stages:
  supervised:
    kind: train
    label: plain
    model: net
    dataset: source
    training: {iterations: 100, log_interval: 10}
    validation: {dataset: look, interval: 20}
    search:
      space: {training.optimizer.lr: [0.001, 0.01]}
  adapted:
    kind: uda
    model: net
    source: source
    target: target
    training: {iterations: 100, log_interval: 10}
    method: {feature_distance: null}
    validation: {dataset: look, interval: 20}
    search:
      space:
        training.optimizer.lr: {log_uniform: [1.0e-5, 1.0e-3]}
        method.rare_class.temperature: [0.01, 0.1]
      trials: 6
      scheduler: {name: asha, grace: 20}
  clean:
    kind: evaluate
    matrix: {trained: ["${supervised.checkpoint}", "${adapted.checkpoint}"]}
    checkpoint: ${matrix.trained}
    dataset: test
"""


def edit(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def named(graph: Graph) -> dict[str, Task]:
    return {task.name: task for task in graph.nodes}


def test_a_searched_training_is_one_task_and_its_network_is_scored(expand_text: Expand) -> None:
    graph = expand_text(TUNED)
    assert [task.stage for task in graph.nodes] == ["supervised", "adapted", "clean", "clean"]
    tasks = named(graph)
    assert list(tasks["adapted"].datasets) == ["source", "target", "look"]
    assert tasks["clean[trained=adapted]"].inputs == {"checkpoint": tasks["adapted"].key}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("space: {training.optimizer.lr: [0.001, 0.01]}", "space: {training.optimizer.lr: [0.001, 0.02]}", {"supervised"}),
        ("trials: 6", "trials: 7", {"adapted"}),
        ("trials: 6", "hours: 2", {"adapted"}),
        ("trials: 6", "trials: 6\n      seed: 1", {"adapted"}),
        ("trials: 6", "trials: 6\n      sampler: random", {"adapted"}),
        ("trials: 6", "trials: 6\n      sampler: optuna", set()),
        ("trials: 6", "trials: 6\n      concurrent: 2", set()),
        ("grace: 20", "grace: 40", {"adapted"}),
        ("scheduler: {name: asha, grace: 20}", "scheduler: none", {"adapted"}),
        ("    label: plain\n", "    label: other\n", set()),
        ("    label: plain\n", "    resources: {cpus: 3}\n", set()),
    ],
)  # fmt: skip
def test_what_a_search_depends_on_is_in_the_key(expand_text: Expand, old: str, new: str, changed: set[str]) -> None:
    before, after = expand_text(TUNED), expand_text(edit(TUNED, (old, new)))
    keys = [{task.stage: task.key for task in graph.nodes if task.stage != "clean"} for graph in (before, after)]
    assert {stage for stage in keys[0] if keys[0][stage] != keys[1][stage]} == changed


def test_an_adaptation_is_known_by_what_it_is_validated_on(expand_text: Expand) -> None:
    """Source and target are among its data anyway, so the list of data sets alone would not tell which one is looked at."""
    keys = {
        dataset: named(expand_text(edit(TUNED.replace("dataset: look", f"dataset: {dataset}"))))["adapted"].key
        for dataset in ("look", "source", "target")
    }
    assert len(set(keys.values())) == 3


def test_a_training_without_a_search_keeps_its_key(expand_text: Expand) -> None:
    """`validation` of an adaptation is younger than keys too."""
    plain = "title: t\n" + TUNED.partition("\n")[2].partition("    validation")[0]
    explicit = plain + "    search: null\n"
    assert named(expand_text(plain))["supervised"].key == named(expand_text(explicit))["supervised"].key


SCHEDULER = "scheduler: {name: asha, grace: 20}"
TRAINING = "    target: target\n    training: {iterations: 100, log_interval: 10"
PBT_FITS = [(TRAINING, f"{TRAINING}, checkpoint_interval: 20")]
TEMPERATURE = "method.rare_class.temperature: [0.01, 0.1]"
BAD_POPULATIONS: list[tuple[list[tuple[str, str]], str]] = [
    (
        [(TEMPERATURE, "training.optimizer.momentum: [0.8, 0.9]")],
        "'training.optimizer.momentum' cannot be searched with the scheduler 'pbt': a member that goes on from another one's",
    ),
    ([(TEMPERATURE, "training.batch_size: [1, 2]")], "this stage can change training.optimizer.lr, training.optimizer."),
    ([(TEMPERATURE, "training.schedule.power: [0.9, 1.0]")], "'training.schedule.power' cannot be searched"),
    ([(TEMPERATURE, "method.mix: [class_mix, none]")], "'method.mix' cannot be searched"),
    ([("interval: 20}\n  clean", "interval: 100}\n  clean")], "leaves no comparison in a training of 100"),
    (
        [("interval: 20}\n  clean", "interval: 50}\n  clean"), ("checkpoint_interval: 20", "checkpoint_interval: 50")],
        "but `validation.interval` is 20.",
    ),
    ([("checkpoint_interval: 20", "checkpoint_interval: 30")], "but `training.checkpoint_interval` is 30."),
    ([("      trials: 6\n", "      trials: 3\n")], "say with `trials` how many, 4 at least"),
    ([("      trials: 6\n", "")], "say with `trials` how many, 4 at least"),
    ([("      trials: 6\n", "      trials: 6\n      hours: 2\n")], "`hours` has no place beside the scheduler 'pbt'"),
    ([("      trials: 6\n", "      trials: 6\n      sampler: optuna\n")], "`sampler` has no place beside the scheduler 'pbt'"),
    (
        [("    method: {feature_distance: null}\n",
          "    method: {feature_distance: null}\n    correction: {name: adele, consistency: null}\n")],
        "the labels that `correction: {name: adele}` has changed lie beside them.",
    ),
]  # fmt: skip


def test_a_population_is_planned(expand_text: Expand) -> None:
    text = edit(TUNED, (SCHEDULER, "scheduler: {name: pbt, interval: 20}"), *PBT_FITS)
    task = named(expand_text(text))["adapted"]
    assert isinstance(task.settings, UdaStage)
    assert task.settings.search is not None
    assert task.settings.search.identify()["scheduler"] == {
        "name": "pbt", "interval": 20, "quantile": 0.25, "resample": 0.25, "factors": [0.8, 1.2],
    }  # fmt: skip
    keys = {
        named(expand_text(edit(text, *change)))["adapted"].key
        for change in ([], [("name: pbt, interval: 20", "name: pbt, interval: 40")], [("trials: 6", "trials: 8")],
                       [("name: pbt, interval: 20", "name: pbt, interval: 20, quantile: 0.2")])
    }  # fmt: skip
    assert len(keys) == 4


BAD: list[tuple[list[tuple[str, str]], str]] = [
    (
        [("method.rare_class.temperature: [0.01, 0.1]", "method.rare_class.temprature: [0.01, 0.1]")],
        "the stage has no setting 'method.rare_class.temprature' to be searched. Did you mean 'method.rare_class.temperature'?",
    ),
    (
        [("method.rare_class.temperature: [0.01, 0.1]", "method.masked_consistency.ratio: [0.5, 0.7]")],
        "the stage has no setting 'method.masked_consistency.ratio' to be searched. Did you mean 'method.masked_consistency'?",
    ),
    (
        [("method.rare_class.temperature: [0.01, 0.1]", "method.rare_class.temperature: [0.01, -1]")],
        "refuses training.optimizer.lr=1e-5, method.rare_class.temperature=-1: temperature: input should be greater than 0",
    ),
    ([("log_uniform: [1.0e-5, 1.0e-3]", "uniform: [-1.0, 1.0]")], "lr: input should be greater than 0"),
    (
        [("method.rare_class.temperature: [0.01, 0.1]", "method.ignore_top: [0, 600]")],
        "at training.optimizer.lr=1e-5, method.ignore_top=600: method.ignore_top: ignore_top 600 and ignore_bottom 0 leave "
        "nothing of a crop that is 512 high.",
    ),
    ([("method.rare_class.temperature: [0.01, 0.1]", "model: [net, other]")], "has no setting 'model' to be searched"),
    ([("method.rare_class.temperature: [0.01, 0.1]", "training.workers: [1, 2]")], "no setting 'training.workers'"),
    ([("[0.001, 0.01]", "[0.001, 0.001]")], "two trials of the search are the same"),
    (
        [("      trials: 6\n", "      trials: 6\n      metric: mix_los\n      mode: min\n")],
        "the stage never reports 'mix_los'. Did you mean 'mix_loss'? It reports: miou, loss, source_loss, mix_loss, q, ema_alpha.",
    ),
    ([("      trials: 6\n", "      trials: 6\n      metric: loss\n")], "say with `mode: min` or `mode: max`"),
    ([("      trials: 6\n", "      trials: 6\n      mode: min\n")], "`mode: min` would choose the worst mIoU"),
    (
        [("    method: {feature_distance: null}\n    validation: {dataset: look, interval: 20}\n",
          "    method: {feature_distance: null}\n")],
        "trials are judged by the mIoU of the stage's `validation`, and it has none.",
    ),
    (
        [("    method: {feature_distance: null}\n    validation: {dataset: look, interval: 20}\n",
          "    method: {feature_distance: null}\n    validation: {dataset: look, interval: 100}\n")],
        "'asha' judges trials while they run, but theirs report 'miou' only once, at their end: `validation.interval` is 100 of "
        "100 iterations.",
    ),
    *[([(SCHEDULER, "scheduler: {name: pbt, interval: 20}"), *PBT_FITS, *changes], text) for changes, text in BAD_POPULATIONS],
    ([(SCHEDULER, "scheduler: pbt")], "'pbt' cannot do without a setting: write `scheduler: {name: pbt, interval: ITERATIONS}`"),
    ([(SCHEDULER, "scheduler: asha")], "write `scheduler: {name: asha, grace: ITERATIONS}`"),
    ([("grace: 20", "grace: 100")], "a grace of 100 iterations leaves nothing of a training of 100"),
    ([("grace: 20", "grce: 20")], "unknown key 'grce'. Did you mean 'grace'?"),
    (
        [("method.rare_class.temperature: [0.01, 0.1]", "training.iterations: [50, 100]")],
        "the scheduler 'asha' compares trials at equal iterations",
    ),
    ([("      trials: 6\n", "")], "a space with a range needs `trials` or `hours`"),
    ([("      trials: 6\n", "      trials: 6\n      sampler: grid\n")], "the sampler 'grid' is for lists"),
    ([("      trials: 6\n", "      trials: 6\n      sampler: opuna\n")], "opuna"),
    ([("dataset: test", "dataset: look")], "data set 'look', on which the method is tuned, and 'look', on which it is reported"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "text"), BAD)
def test_a_search_that_cannot_work_is_refused_before_anything_runs(
    refuse: Refuse, changes: list[tuple[str, str]], text: str
) -> None:
    said = "\n".join(refuse(edit(TUNED, *changes)))
    assert text in said


def test_a_scheduler_on_a_stream_is_refused_with_the_reason(refuse: Refuse) -> None:
    stream = """\
title: t
datasets:
  fog: {type: acdc, split: val, subset: [fog]}
  rain: {type: acdc, split: train, subset: [rain]}
models:
  net: {config: cgnet_small}
stages:
  weather:
    kind: stream
    model: net
    method: {name: tent}
    stream: {kind: single, domains: [{dataset: fog}]}
    search:
      stream: {kind: single, domains: [{dataset: rain}]}
      space: {lr: [1.0e-5, 1.0e-4]}
      scheduler: SCHEDULER #!
"""
    (line,) = refuse(stream.replace("SCHEDULER", "{name: asha, grace: 2}"))
    assert line.startswith("HERE stages.weather.search.scheduler: 'asha' judges trials while they run")
    (line,) = refuse(stream.replace("SCHEDULER", "{name: pbt, interval: 2}"))
    assert line.startswith("HERE stages.weather.search.scheduler: ")
    assert "'pbt' needs checkpoints of its trials, and a stream leaves none" in line


def test_a_missing_package_of_a_sampler_is_named_before_anything_runs(
    expand_text: Expand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PrerequisiteError, match=r"stages\.adapted\.search\.sampler: .*needs the Python package optuna"):
        expand_text(TUNED)


def test_a_point_of_a_training_is_the_training_with_other_settings(expand_text: Expand) -> None:
    stage = named(expand_text(TUNED))["adapted"].settings
    assert isinstance(stage, UdaStage)
    made = apply_to_stage(stage, {"training.optimizer.lr": 0.5, "method.rare_class.temperature": 0.3})
    raw = stage.model_dump() | {"search": None}
    raw["training"]["optimizer"]["lr"] = 0.5
    raw["method"]["rare_class"]["temperature"] = 0.3
    assert made == UdaStage.model_validate(raw)


METHODS: list[Any] = [
    {"name": "daformer"},
    {"name": "daformer", "feature_distance": None},
    {"name": "dacs"},
    {"name": "mic", "feature_distance": None},
    {"name": "minent"},
]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_listed_scalars_of_an_adaptation_are_those_that_it_reports(method: dict[str, Any]) -> None:
    from adapt.uda.entropy_minimisation import EntropyMinimisation
    from adapt.uda.self_training import SelfTraining

    stage = UdaStage.model_validate(
        {"kind": "uda", "model": "m", "source": "a", "target": "b", "training": {}, "method": method}
    )
    settings: UdaSettings = stage.method
    reported: Any = EntropyMinimisation.metrics
    if settings.name != "minent":
        learner = SelfTraining.__new__(SelfTraining)
        object.__setattr__(learner, "settings", settings)
        reported = SelfTraining.metrics.fget(learner)
    assert list_scalars(stage) == tuple(reported)


def test_the_listed_scalars_of_a_training_are_those_that_it_reports() -> None:
    from adapt.correction.co_teaching import CoTeaching

    raw = {"kind": "train", "model": "m", "dataset": "a", "training": {}}
    assert list_scalars(TrainStage.model_validate(raw)) == ("loss",)
    stage = TrainStage.model_validate(raw | {"correction": {"name": "co_teaching", "forget_rate": 0.2}})
    assert list_scalars(stage) == CoTeaching.metrics
