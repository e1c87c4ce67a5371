"""Facts that were noted when a sweep was planned: enough to expand its experiment again without its data and weights."""

from __future__ import annotations

from typing import NamedTuple

from adapt.data.size import Size
from adapt.settings import Settings
from experiments.class_pixels import ClassPixels
from experiments.load import LoadedExperiment
from experiments.task import BoundDataset, BoundModel

MISSING = "missing"  # in the place of a fingerprint or a hash of what is not there


class ModelNote(NamedTuple):
    """Hashes of the configuration of a model and of its weights (None: random start)."""

    config_sha256: str
    weights_sha256: str | None


class FactsNote(Settings):
    """What a plan found out of the world.

    Attributes:
        datasets: name -> `labels` or `images` (where labels are not needed) -> fingerprint.
        models: name -> hashes.
        weights: file of outside weights -> sha256.
    """

    datasets: dict[str, dict[str, str]]
    models: dict[str, ModelNote]
    weights: dict[str, str]


def name_need(needs_labels: bool) -> str:
    """Return under which word a fingerprint is noted."""
    return "labels" if needs_labels else "images"


class RecordedFacts:
    """Facts for `graph.expand` from a note; what it does not say is `missing`, as data that is not there."""

    def __init__(self, loaded: LoadedExperiment, note: FactsNote) -> None:
        self._loaded = loaded
        self._note = note

    def bind_dataset(self, name: str, needs_labels: bool) -> BoundDataset:
        """Return a data set with the fingerprint that was noted."""
        fingerprint = self._note.datasets.get(name, {}).get(name_need(needs_labels), MISSING)
        return BoundDataset(self._loaded.settings.datasets[name], fingerprint)

    def require_crop_fits(self, name: str, crop: Size) -> None:
        """Refuse nothing: that was looked at when it was planned."""

    def share_frames(self, one: str, other: str) -> bool:
        """Say no: that was looked at when it was planned."""
        return False

    def count_frames(self, name: str) -> int | None:
        """Return None: it is not known."""

    def find_class_pixels(self, name: str) -> ClassPixels | None:
        """Return None: they are not known."""

    def bind_model(self, name: str) -> BoundModel:
        """Return a model with the hashes that were noted."""
        config, weights = self._note.models.get(name, ModelNote(MISSING, None))
        return BoundModel(self._loaded.settings.models[name], config, weights)

    def bind_weights(self, file: str, whose: str) -> str:
        """Return the hash of a file of outside weights that was noted."""
        return self._note.weights.get(file, MISSING)
