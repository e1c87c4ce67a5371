"""How much memory a stage needs, measured by running it for a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapt.errors import SpecError
from experiments.schema import BenchmarkStage, EvaluateStage, StreamStage, TrainStage
from orchestrator.measure import list_missing, shorten
from orchestrator.profiles import read_profiles
from orchestrator.store import Store


def test_a_training_is_shortened_to_its_first_iterations_of_the_same_size(make_task) -> None:
    settings = make_task("a", "train", training={"iterations": 40000, "batch_size": 2}).settings
    short = shorten(settings, 20, 8)
    assert isinstance(short, TrainStage)
    assert (short.training.iterations, short.training.batch_size) == (20, 2)
    tiny = shorten(make_task("a", "train", training={"iterations": 5}).settings, 20, 8)
    assert isinstance(tiny, TrainStage)
    assert tiny.training.iterations == 5


def test_what_scores_is_shortened_to_a_few_frames(make_task) -> None:
    stream = shorten(make_task("s", "stream").settings, 20, 8)
    assert isinstance(stream, StreamStage)
    assert stream.stream.limit == 8
    evaluation = shorten(make_task("e", limit=3).settings, 20, 8)
    assert isinstance(evaluation, EvaluateStage)
    assert evaluation.limit == 3
    grid = shorten(make_task("b", "benchmark", shards=4).settings, 20, 8)
    assert isinstance(grid, BenchmarkStage)
    assert (grid.limit, grid.shards) == (8, 1)


def test_what_cannot_be_measured_ahead_is_said(make_task) -> None:
    with pytest.raises(SpecError, match=r"training\.workers=1"):
        shorten(make_task("a", "train", training={"workers": 2}).settings, 20, 8)


def test_inputs_that_are_not_done_are_named(store: Store, make_task, make_record) -> None:
    source = make_task("source", "train")
    task = make_task("clean", needs=source)
    names = {source.key: source.name}
    assert list_missing(task, store, names) == ["source"]
    store.folder(source.key).mkdir(parents=True)
    store.commit(make_record(source))
    assert list_missing(task, store, names) == []


@pytest.mark.slow
def test_the_command_measures_once_and_keeps_it(start_segshift, tiny: Path, tmp_path: Path) -> None:
    root = tmp_path / "store"
    process = start_segshift("profile", tiny, "source_only", "--iterations", "2", "--store", root)
    text, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    assert "With `resources: {pack: true}` each of its" in text
    (profile,) = read_profiles(Store(root)).values()
    assert 100 * 2**20 < profile.memory_bytes < 10 * 2**30
    assert not list(root.glob("tasks/*")), "the measurement left something behind"
    listed = start_segshift("profile", "--store", root)
    assert "source_only: " in listed.communicate(timeout=120)[0]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("clean", "which is not done: run the sweep up to there"),
        ("nothing", "has no stage 'nothing' with tasks. It has: source_only"),
    ],
)
def test_a_stage_that_cannot_be_measured_yet_is_refused(
    start_segshift, tiny: Path, tmp_path: Path, stage: str, message: str
) -> None:
    process = start_segshift("profile", tiny, stage, "--store", tmp_path / "store")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert message in errors
