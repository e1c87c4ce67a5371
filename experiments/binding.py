"""Data sets, models and weights that tasks name, bound to the bytes behind them; and whether they fit together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from adapt.data.catalog import describe_dataset
from adapt.data.size import Size
from adapt.errors import SpecError
from experiments.class_pixels import ClassPixels
from experiments.document import KeyPath
from experiments.explain import unknown
from experiments.grid import find_grid
from experiments.identity import find_stream
from experiments.load import LoadedExperiment
from experiments.schema import (
    BenchmarkStage,
    EvaluateStage,
    FisherStage,
    SearchStage,
    StageSettings,
    StreamStage,
    StylesStage,
    TrainStage,
    UdaStage,
)
from experiments.task import BoundDataset, BoundModel, Task


class Facts(Protocol):
    """What the graph needs to know of the world: which bytes stand behind a data set and a model."""

    def bind_dataset(self, name: str, needs_labels: bool) -> BoundDataset:
        """Return a data set of the experiment with its fingerprint; the target of an adaptation needs no labels."""

    def require_crop_fits(self, name: str, crop: Size) -> None:
        """Refuse a crop that is larger than the frames of a data set that was bound, where their size is known."""

    def share_frames(self, one: str, other: str) -> bool:
        """Say whether two data sets, bound before, have an image in common."""

    def count_frames(self, name: str) -> int | None:
        """Return how many frames a data set, bound before, has; None where that is not known."""

    def find_class_pixels(self, name: str) -> ClassPixels | None:
        """Return how many pixels of each class the labels of a data set, bound before, hold; None where nobody counted."""

    def bind_model(self, name: str) -> BoundModel:
        """Return a model of the experiment with its hashes."""

    def bind_weights(self, file: str, whose: str) -> str:
        """Return the hash of a file of outside weights; `whose` it is, in words, is said where it is missing."""


class Binding:
    """Binds what the stages of an experiment name, and knows which classes each network predicts."""

    def __init__(self, loaded: LoadedExperiment, facts: Facts) -> None:
        self._loaded = loaded
        self._facts = facts
        self._classes: dict[str, tuple[str, ...]] = {}  # by the key of a task

    def bind_datasets(self, stage: str, settings: StageSettings) -> dict[str, BoundDataset]:
        """Bind the data sets of a stage.

        Args:
            stage: its name, for messages.
            settings: validated.

        Returns:
            Name -> data set, in the order of the stage.

        Raises:
            SpecError: if one is unknown or unfit, or smaller than a crop of the training.
        """
        unlabelled = _list_unlabelled(settings)
        datasets = {
            name: self._bind_dataset(stage, key, name, name not in unlabelled)
            for name, key in _list_datasets(settings).items()
        }
        if isinstance(settings, TrainStage | UdaStage) and settings.training.augment.crop is not None:
            trained = [settings.dataset] if isinstance(settings, TrainStage) else [settings.source, settings.target]
            self._check_crop(stage, trained, settings.training.augment.crop)
        return datasets

    def bind_model(self, stage: str, settings: StageSettings) -> BoundModel | None:
        """Bind the model that a stage names, if it does.

        Raises:
            SpecError: if it is unknown or unfit.
        """
        name = getattr(settings, "model", None)
        if name is None:
            return None
        models = self._loaded.settings.models
        if name not in models:
            raise unknown("model", name, models, self._loaded.locate(stage, "model"))
        try:
            return self._facts.bind_model(name)
        except SpecError as error:
            raise SpecError(f"{self._loaded.document.origin(('models', name))}: models.{name}: {error}") from error

    def bind_extractor(self, stage: str, settings: StageSettings) -> str | None:
        """Return the hash of the weights of a style extractor, where a stage has one with weights."""
        if not isinstance(settings, StylesStage) or settings.extractor.weights is None:
            return None
        return self._facts.bind_weights(settings.extractor.weights, f"stage '{stage}'")

    def check_classes(
        self,
        stage: str,
        key: str,
        settings: StageSettings,
        datasets: Mapping[str, BoundDataset],
        model: BoundModel | None,
        inputs: Mapping[str, Task],
    ) -> tuple[str, ...]:
        """Find the classes of a task's network, and refuse data of others before anything runs.

        Args:
            stage: for messages.
            key: of the task.
            settings: of its stage.
            datasets: what it reads.
            model: the outside network that it starts from, or None.
            inputs: role -> the task whose output it takes.

        Returns:
            The classes.

        Raises:
            SpecError: if some of these have other classes than the rest.
        """
        known = {name: describe_dataset(bound.settings).classes for name, bound in datasets.items()}
        if isinstance(settings, TrainStage | UdaStage):
            first = next(iter(known))
            expected, whose = known[first], f"data set '{first}'"
        elif "checkpoint" in inputs:
            expected, whose = self._classes[inputs["checkpoint"].key], f"the network of {inputs['checkpoint'].name}"
        else:
            expected, whose = next(iter(known.values())), f"data set '{next(iter(known))}'"
        self._classes[key] = expected
        if "auxiliary" in inputs and self._classes[inputs["auxiliary"].key] != expected:
            other = self._classes[inputs["auxiliary"].key]
            raise SpecError(
                f"{self._loaded.locate(stage, 'auxiliary')}: the network of {inputs['auxiliary'].name} predicts {len(other)} "
                f"classes ({', '.join(other[:3])}, ...) but {whose} has {len(expected)} ({', '.join(expected[:3])}, ...). Train "
                "the auxiliary network on data with the same classes."
            )
        for name, classes in known.items():
            if classes != expected:
                raise SpecError(
                    f"{self._loaded.locate(stage)}: data set '{name}' has {len(classes)} classes ({', '.join(classes[:3])}, ...) "
                    f"but {whose} has {len(expected)} ({', '.join(expected[:3])}, ...). Choose data sets with the same classes."
                )
        return expected

    def check_disjoint(self, stage: str, tuned_on: Iterable[str], reported: Task, key: KeyPath) -> None:
        """Refuse a search that sees frames of the scores that are reported.

        Args:
            stage: for messages.
            tuned_on: data sets that settings were chosen on.
            reported: a task that scores what they were chosen for.
            key: of the stage, that is to blame.

        Raises:
            SpecError: names the two data sets.
        """
        for one in tuned_on:
            for other in reported.datasets:
                if self._facts.share_frames(one, other):
                    raise SpecError(
                        f"{self._loaded.locate(stage, *key)}: data set '{one}', on which the method is tuned, and "
                        f"'{other}', on which it is reported, have frames in common. Search on another split or subset."
                    )

    def check_protocol(self, stage: str, settings: BenchmarkStage) -> None:
        """Refuse a protocol of corruptions that is not known.

        Raises:
            SpecError: names those that are.
        """
        try:
            find_grid(settings)
        except ValueError as error:
            raise SpecError(f"{self._loaded.locate(stage, 'protocol')}: {error}") from error

    def _bind_dataset(self, stage: str, key: KeyPath, name: str, needs_labels: bool) -> BoundDataset:
        if name not in self._loaded.settings.datasets:
            raise unknown("data set", name, self._loaded.settings.datasets, self._loaded.locate(stage, *key))
        try:
            return self._facts.bind_dataset(name, needs_labels)
        except SpecError as error:
            raise SpecError(f"{self._loaded.document.origin(('datasets', name))}: datasets.{name}: {error}") from error

    def _check_crop(self, stage: str, names: Iterable[str], crop: Size) -> None:
        for name in names:
            try:
                self._facts.require_crop_fits(name, crop)
            except SpecError as error:
                raise SpecError(f"{self._loaded.locate(stage, 'training')}: data set '{name}': {error}") from error


def _list_datasets(settings: StageSettings) -> dict[str, KeyPath]:
    """List the data sets of a stage in its order, each with the key that names it first."""
    if isinstance(settings, UdaStage):
        named: dict[str, KeyPath] = {settings.source: ("source",), settings.target: ("target",)}
        if settings.validation is not None:
            named.setdefault(settings.validation.dataset, ("validation", "dataset"))
        return named
    if isinstance(settings, StreamStage | SearchStage):
        at: KeyPath = ("stream",) if isinstance(settings, StreamStage) else ("search", "stream")
        found: dict[str, KeyPath] = {}
        for index, domain in enumerate(find_stream(settings).domains):
            found.setdefault(domain.dataset, (*at, "domains", index, "dataset"))
        return found
    if isinstance(settings, TrainStage) and settings.validation is not None:
        return {settings.dataset: ("dataset",), settings.validation.dataset: ("validation", "dataset")}
    if isinstance(settings, BenchmarkStage):
        shifts: dict[str, KeyPath] = {name: ("shifts", index) for index, name in enumerate(settings.shifts)}
        return {settings.dataset: ("dataset",), **shifts}
    if isinstance(settings, TrainStage | EvaluateStage | StylesStage | FisherStage):
        return {settings.dataset: ("dataset",)}
    return {}


def _list_unlabelled(settings: StageSettings) -> set[str]:
    """Return the data sets whose labels a task never opens.

    They are an adaptation's target, unless its pseudo-labels are scored or it is validated on, and what source statistics
    are measured on.
    """
    if isinstance(settings, StylesStage | FisherStage):
        return {settings.dataset}
    if not isinstance(settings, UdaStage) or getattr(settings.method, "score_pseudo_labels", False):
        return set()
    opened = {settings.source} | ({settings.validation.dataset} if settings.validation is not None else set())
    return {settings.target} - opened
