"""Experiment files written on the spot, and a world in which every data set and model is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from adapt.errors import SpecError
from experiments.facts import WorkspaceFacts
from experiments.graph import Graph, expand
from experiments.load import LoadedExperiment, load_experiment
from experiments.task import BoundDataset, BoundModel
from experiments.workspace import Workspace


class StubFacts:
    """Facts that touch no disk: a fingerprint per data set type, a hash per config; tests may change single ones.

    How many frames a data set has is not known but where `changed` says so, as `frames`.
    """

    def __init__(self, loaded: LoadedExperiment, changed: dict[str, str]) -> None:
        self.loaded = loaded
        self.changed = changed

    def bind_dataset(self, name: str, needs_labels: bool) -> BoundDataset:
        assert isinstance(needs_labels, bool)
        settings = self.loaded.settings.datasets[name]
        return BoundDataset(settings, self.changed.get(settings.type, f"fingerprint-{settings.type}"))

    def require_crop_fits(self, name: str, crop: tuple[int, int]) -> None:
        assert name in self.loaded.settings.datasets
        assert len(crop) == 2

    def share_frames(self, one: str, other: str) -> bool:
        assert {one, other} <= self.loaded.settings.datasets.keys()
        return one == other

    def count_frames(self, name: str) -> int | None:
        assert name in self.loaded.settings.datasets
        return int(self.changed["frames"]) if "frames" in self.changed else None

    def find_class_pixels(self, name: str) -> None:
        assert name in self.loaded.settings.datasets

    def bind_weights(self, file: str, whose: str) -> str:
        assert whose.startswith("stage")
        return self.changed.get(file, f"hash-{file}")

    def bind_model(self, name: str) -> BoundModel:
        settings = self.loaded.settings.models[name]
        return BoundModel(
            settings, self.changed.get(settings.config, f"config-{settings.config}"), self.changed.get("weights")
        )


Write = Callable[..., Path]
Expand = Callable[..., Graph]
Refuse = Callable[..., list[str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a text as a file and return its path."""

    def _write(text: str, name: str = "test.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return _write


@pytest.fixture
def expand_text(write: Write) -> Expand:
    """Expand the text of an experiment file."""

    def _expand(
        text: str, overrides: Sequence[str] = (), profile: str = "full", changed: dict[str, str] | None = None
    ) -> Graph:
        loaded = load_experiment(str(write(text)), profile, overrides)
        return expand(loaded, StubFacts(loaded, changed or {}))

    return _expand


@pytest.fixture
def refuse(expand_text: Expand, tmp_path: Path) -> Refuse:
    """Expand a text that is wrong, and return the lines of the error with the file called FILE.

    In the text `#!` marks the line that the error must name; each returned line that names it starts with `HERE`.
    """

    def _refuse(text: str, overrides: Sequence[str] = (), changed: dict[str, str] | None = None) -> list[str]:
        marked = [number for number, line in enumerate(text.splitlines(), 1) if line.endswith("#!")]
        with pytest.raises(SpecError) as caught:
            expand_text(text, overrides, changed=changed)
        message = str(caught.value)
        for number in marked:
            message = message.replace(f"{tmp_path / 'test.yaml'}:{number}: ", "HERE ")
        return message.replace(str(tmp_path / "test.yaml"), "FILE").splitlines()

    return _refuse


@pytest.fixture
def bind(write: Write) -> Callable[..., WorkspaceFacts]:
    """Know the data sets and models of an experiment by a workspace."""

    def _bind(text: str, workspace: Workspace) -> WorkspaceFacts:
        return WorkspaceFacts(load_experiment(str(write(text)), "full"), workspace)

    return _bind
