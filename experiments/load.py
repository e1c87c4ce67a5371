"""Find an experiment file, choose its profile, lay overrides over it and validate it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapt.errors import SpecError
from experiments.document import Document, parse_override, read_document
from experiments.explain import unknown, validate
from experiments.schema import Experiment

HERE = Path(__file__).parent


@dataclass(frozen=True)
class LoadedExperiment:
    """An experiment under one profile, with the document that its error messages point into.

    `given` is how it was named: by its name, or by the path of its file.
    """

    name: str
    profile: str
    settings: Experiment
    document: Document
    overrides: tuple[str, ...] = ()
    given: str = ""

    def locate(self, stage: str, *path: str | int) -> str:
        """Say where a key of a stage stands, for messages: file, line and the key in full."""
        return f"{self.document.origin(('stages', stage, *path))}: stages.{'.'.join(map(str, (stage, *path)))}"


def list_experiments() -> tuple[str, ...]:
    """Return the names of the experiments that segshift ships, sorted."""
    return tuple(sorted(path.stem for path in HERE.glob("*.yaml")))


def find_experiment(name_or_path: str) -> Path:
    """Return the file of an experiment, given its name or a path to a YAML file of one's own.

    Raises:
        SpecError: there is no such experiment; the closest name is suggested.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise SpecError(
                f"experiment file {name_or_path} does not exist. Check the path, or run `segshift plan` for a list."
            )
        return path
    path = HERE / f"{name_or_path}.yaml"
    if not path.is_file():
        raise unknown("experiment", name_or_path, list_experiments(), "command line")
    return path


def list_profiles(name_or_path: str) -> tuple[str, ...]:
    """Return the profiles of an experiment in the order of its file, which is the order they are tried in."""
    return _list_profiles(read_document(find_experiment(name_or_path)))


def _list_profiles(document: Document) -> tuple[str, ...]:
    profiles: dict[str, dict[str, Any] | None] = validate(
        dict[str, dict[str, Any] | None], document.data.get("profiles", {}), document, ("profiles",)
    )
    return tuple(profiles) or ("full",)


def load_experiment(
    name_or_path: str, profile: str, overrides: Sequence[str] = (), limit: int | None = None
) -> LoadedExperiment:
    """Read an experiment under a profile, with `key=value` overrides from the command line.

    Args:
        name_or_path: of the experiment.
        profile: one of its profiles.
        overrides: laid over the file, one after the other.
        limit: has every evaluation and benchmark score the first so many frames alone; an override of each of them.

    Raises:
        SpecError: anything in the file or an override is not understood; file, line and key are named.
    """
    path = find_experiment(name_or_path)
    document = read_document(path)
    profiles = _list_profiles(document)
    if profile not in profiles:
        raise unknown("profile", profile, profiles, str(path))
    merged = document.without("profiles").merged(document.section("profiles", profile))
    overrides = (*_list_limits(merged, limit), *overrides)
    for text in overrides:
        merged = merged.merged(parse_override(text))
    settings: Experiment = validate(Experiment, merged.data, merged)
    return LoadedExperiment(path.stem, profile, settings, merged, tuple(overrides), name_or_path)


def _list_limits(document: Document, limit: int | None) -> tuple[str, ...]:
    """Return the overrides that limit the frames of each stage that takes a limit."""
    if limit is None:
        return ()
    stages = document.section("stages").data
    limited = [
        name
        for name, data in stages.items()
        if isinstance(data, dict) and data.get("kind") in ("evaluate", "benchmark")
    ]
    if not limited:
        raise SpecError("--limit: no stage of this experiment evaluates or benchmarks, so none takes it. Leave it out.")
    return tuple(f"stages.{name}.limit={limit}" for name in limited)
