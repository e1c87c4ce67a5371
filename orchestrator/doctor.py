"""What `segshift doctor` looks at: each check says what it found and what to do about it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from adapt.data.catalog import DATASET_TYPES
from adapt.errors import SegshiftError
from experiments.load import list_experiments, list_profiles, load_experiment
from experiments.matrix import fill_in, list_points
from experiments.schema import Experiment, MatrixSettings
from experiments.workspace import FILE, Workspace
from orchestrator.environment import count_gpus
from orchestrator.store import open_store

MINIMUM_PYTHON = (3, 11)
ROOMY_FREE_GB = 20  # ours: a full-profile sweep keeps checkpoints of 330 MB a task
PORTS = {8265: "Ray dashboard", 5000: "MLflow"}
PACKAGES = (
    "torch",
    "mmengine",
    "mmsegmentation",
    "ray",
    "mlflow",
    "albumentations",
    "imagecorruptions-imaug",
    "pydantic",
)


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's: `ok`, `note` (works, could be better) or `bad` (must be mended)."""

    level: Literal["ok", "note", "bad"]
    subject: str
    text: str


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Yield the findings of every check; a check that breaks is a finding too."""
    checks: tuple[Callable[[Workspace], Iterator[Finding]], ...] = (
        _check_python, _check_packages, _check_mmcv, _check_opencv, _check_gpus,
        _check_data, _check_weights, _check_store, _check_ports,
    )  # fmt: skip
    for check in checks:
        try:
            yield from check(workspace)
        except Exception as error:  # whatever a broken installation throws, the other checks go on
            yield Finding("bad", check.__name__.removeprefix("_check_"), f"{type(error).__name__}: {error}")


def _check_python(_: Workspace) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info[:2] >= MINIMUM_PYTHON
    yield Finding("ok" if good else "bad", "python", version if good else f"{version}: 3.11 or newer is needed")


def _check_packages(_: Workspace) -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding("ok", name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding("bad", name, "not installed: run `make setup`")


def _check_mmcv(_: Workspace) -> Iterator[Finding]:
    if importlib.util.find_spec("mmcv") is None:
        yield Finding("bad", "mmcv", "not installed: run `make setup`")
    elif importlib.util.find_spec("mmcv._ext") is None:
        text = "mmcv-lite: compiled operations are stood in for; networks that need them (PSANet ...) need `make setup OPS=1`"
        yield Finding("note", "mmcv", text)
    else:
        yield Finding("ok", "mmcv", "full, with compiled operations")


def _check_opencv(_: Workspace) -> Iterator[Finding]:
    names = [
        d.metadata["Name"]
        for d in importlib.metadata.distributions()
        if (d.metadata["Name"] or "").startswith("opencv")
    ]
    if len(names) == 1:
        yield Finding("ok", "OpenCV", f"{names[0]} {importlib.metadata.version(names[0])}")
    else:
        yield Finding(
            "bad", "OpenCV", f"{len(names)} distributions share one module ({', '.join(names)}): run `make setup`"
        )


def _check_gpus(_: Workspace) -> Iterator[Finding]:
    gpus = count_gpus()
    if gpus == 0:
        yield Finding("note", "GPUs", "none: the mini and cpu profiles run; full profiles need a GPU or --address")
        return
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        yield Finding("ok", "GPUs", ", ".join(names))
    else:
        text = f"{gpus} found, but torch {torch.__version__} cannot use them: install a CUDA build of torch that fits the driver"
        yield Finding("bad", "GPUs", text)


def _check_data(workspace: Workspace) -> Iterator[Finding]:
    for name in DATASET_TYPES:
        root = workspace.find_root(name)
        if root is not None:
            yield Finding("ok", f"data: {name}", str(root))
        else:
            yield Finding(
                "note", f"data: {name}", f"not configured (DATA=/path, or `data: {{{name}: /path}}` in {FILE})"
            )


def _check_weights(workspace: Workspace) -> Iterator[Finding]:
    wanted = set()
    for name in list_experiments():
        for profile in list_profiles(name):
            experiment = load_experiment(name, profile).settings
            files = {model.weights for model in experiment.models.values()} | set(list_extractor_weights(experiment))
            wanted |= {(file, name) for file in files if file}
    for file, user in sorted(wanted):
        try:
            yield Finding("ok", f"weights: {file}", str(workspace.find_weights(file)))
        except SegshiftError:
            yield Finding("note", f"weights: {file}", f"not found; {user} needs it (`weights: /folder` in {FILE})")


def list_extractor_weights(experiment: Experiment) -> Iterator[str]:
    """Go through the weight files of the style extractors of an experiment's `styles` stages, at every point."""
    for name, stage in experiment.stages.items():
        if stage.get("kind") != "styles" or "extractor" not in stage:
            continue
        own = MatrixSettings.model_validate(stage.get("matrix", {}))
        for shared in list_points(experiment.matrix):
            for extra in list_points(own):
                extractor = fill_in(stage["extractor"], shared | extra, name)
                if isinstance(extractor, Mapping) and extractor.get("weights"):
                    yield extractor["weights"]


def _check_store(workspace: Workspace) -> Iterator[Finding]:
    try:
        store = open_store(workspace.store)
        store.check_writable()
    except SegshiftError as error:
        yield Finding("bad", "store", str(error))
        return
    free_gb = shutil.disk_usage(store.root).free / 2**30
    level: Literal["ok", "note"] = "ok" if free_gb > ROOMY_FREE_GB else "note"
    where = " on this machine" if isinstance(store.place, str) else ""
    yield Finding(level, "store", f"{store.place}, {free_gb:.0f} GB free{where}")


def _check_ports(_: Workspace) -> Iterator[Finding]:
    for port, use in PORTS.items():
        with socket.socket() as probe:
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        text = f"{port} is taken: the next free port is used, and printed" if taken else f"{port} is free"
        yield Finding("note" if taken else "ok", f"port of the {use}", text)
