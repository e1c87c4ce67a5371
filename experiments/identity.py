"""What makes two tasks the same: all that a result depends on, and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from adapt.noise.settings import VERSION as NOISE_VERSION
from adapt.training.settings import PRACTICAL_SETTINGS, TrainSettings
from adapt.tta.stream_settings import StreamSettings
from corruptions.catalog import WEATHER
from corruptions.protocol import Protocol, protocol
from experiments.grid import find_grid, list_canonical_cells, name_grid
from experiments.schema import (
    STAGE_VERSIONS,
    AdaptingStage,
    BenchmarkStage,
    SearchStage,
    StageSettings,
    StreamStage,
    StylesStage,
    TrainStage,
    UdaStage,
)
from experiments.task import BoundDataset, BoundModel

STREAM_BACKEND = "quick"  # the protocol whose backend corrupts the domains of a stream
_PRACTICAL_BENCHMARK = ("backend", "shards", "workers")  # the first is in what the corruptions are described by
_LATER_PARTS = ("noise", "loss", "correction", "validation", "search")  # of a training stage
_LATER_SETTINGS = ("accumulate", "workers", "precision", "compile", "channels_last")  # of training: younger than keys


def identify(
    settings: StageSettings,
    datasets: Mapping[str, BoundDataset],
    model: BoundModel | None,
    extractor_sha256: str | None = None,
    search: str | None = None,
) -> dict[str, Any]:
    """Return all that a task's result depends on, free of the names that the experiment gave to data and models.

    The domains of a stream and the shifts of a benchmark keep their names: scores are reported under them.

    Args:
        settings: The stage, filled in.
        datasets: The data sets it uses, by name, in the stage's order.
        model: The model it uses, or None.
        extractor_sha256: Of the weights of a style extractor, or None.
        search: The key of the task that chooses the settings of a stream's method, or None.

    Returns:
        JSON-able data for `compute_key`.
    """
    practical = set(StageSettings.model_fields)
    named = {"kind", "model", "dataset", "source", "target"}
    identity = settings.model_dump(mode="json", exclude=practical | named)
    if isinstance(settings, TrainStage | UdaStage):
        identity["training"] = _identify_training(settings.training)
        for name in _LATER_PARTS:
            if identity.get(name, 0) is None:  # changes nothing, and keys are older than it
                del identity[name]
        if settings.noise is not None:
            identity["noise_version"] = NOISE_VERSION
        if settings.search is not None:
            identity["search"] = settings.search.identify()
        if settings.validation is not None:
            del identity["validation"]["dataset"]  # bound like the others
            if isinstance(settings, UdaStage):  # which of them it is: it may be the source or the target
                identity["validation"]["of"] = list(datasets).index(settings.validation.dataset)
    if isinstance(settings, StylesStage):
        identity["extractor"]["weights"] = extractor_sha256
    bound = {name: [d.settings.model_dump(mode="json"), d.fingerprint] for name, d in datasets.items()}
    identity["datasets"] = bound if isinstance(settings, AdaptingStage) else list(bound.values())
    if isinstance(settings, BenchmarkStage):
        for name in _PRACTICAL_BENCHMARK:
            del identity[name]
        identity["protocol"] = name_grid(settings)
        identity["corruptions"] = describe_corruptions(find_grid(settings))
    elif isinstance(settings, StreamStage | SearchStage):
        if isinstance(settings, StreamStage):
            identity["search"] = search
        else:
            identity["stream_version"] = STAGE_VERSIONS["stream"]  # its trials are streams
            identity["search"] = settings.search.identify()
        if any(domain.corruption for domain in find_stream(settings).domains):
            identity["corruptions"] = describe_stream_corruptions(find_stream(settings))
    if model is not None:
        identity["model"] = [
            model.settings.overrides,
            model.config_sha256,
            model.weights_sha256,
            model.settings.weights_of,
        ]
    return identity


def find_stream(settings: StreamStage | SearchStage) -> StreamSettings:
    """Return the stream that a task adapts over: a search's is its own."""
    return settings.search.stream if isinstance(settings, SearchStage) else settings.stream


def _identify_training(settings: TrainSettings) -> dict[str, Any]:
    """Return what a training run's result depends on.

    Settings that came later than keys did are left out at their defaults: they change nothing there, so neither may the key.
    """
    identity = settings.model_dump(mode="json", exclude=PRACTICAL_SETTINGS)
    for name in _LATER_SETTINGS:
        if identity[name] == TrainSettings.model_fields[name].default:
            del identity[name]
    return identity


@functools.cache
def describe_corruptions(found: Protocol) -> list[Any]:
    """Return what decides the pixels of a protocol: its cells, its backends and their versions, and how it is applied."""
    applied = [found.channel_order, found.insertion_point]
    cells = list_canonical_cells(found)
    return [cells, "+".join(found.backends), found.version, *(applied if applied != ["RGB", "before_resize"] else [])]


def describe_stream_corruptions(stream: StreamSettings) -> list[Any]:
    """Return what decides the pixels of a stream with corrupted domains: the backend of the 19, and all versions."""
    _, backend, version, *_ = describe_corruptions(protocol(STREAM_BACKEND))
    if any(domain.corruption in WEATHER for domain in stream.domains):
        version = f"{version}; {describe_corruptions(protocol('weather'))[2]}"
    return [backend, version]
