"""On what an experiment ran: code, packages, machines and data of its records, and in what its tasks differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.task import BoundDataset
from orchestrator.record import Record


@dataclass(frozen=True)
class Fact:
    """Something about where tasks ran.

    Attributes:
        name: such as `torch` or `processor`.
        values: each value with the number of tasks that had it, the most frequent first.
    """

    name: str
    values: tuple[tuple[str, int], ...]

    @property
    def differs(self) -> bool:
        """Whether tasks differ in it."""
        return len(self.values) > 1


@dataclass(frozen=True)
class Environment:
    """Where tasks ran: the code, the machines, the packages."""

    code: tuple[Fact, ...]
    machines: tuple[Fact, ...]
    packages: tuple[Fact, ...]

    def list_differences(self) -> list[Fact]:
        """Return what tasks differ in and numbers may depend on: all but the machine's name."""
        facts = (*self.code, *self.machines, *self.packages)
        return [fact for fact in facts if fact.differs and fact.name != "host"]


@dataclass(frozen=True)
class DatasetUse:
    """A data set of an experiment: what was asked for, and the fingerprint of the files that answered."""

    name: str
    asked: str
    fingerprint: str


@dataclass(frozen=True)
class DiskUse:
    """What the tasks of a stage keep in the store."""

    stage: str
    tasks: int
    files: int
    size_bytes: int


def describe_environments(records: Sequence[Record]) -> Environment:
    """Gather where the tasks of records ran."""
    found = [record.environment for record in records]
    packages = sorted({name for environment in found for name in environment.get("packages") or {}})
    return Environment(
        code=(_count("commit", [_name_commit(each) for each in found]),) if found else (),
        machines=tuple(
            _count(name, [_print(each.get(key)) for each in found])
            for name, key in (
                ("host", "host"),
                ("processor", "cpu"),
                ("cores", "cpu_count"),
                ("GPUs", "gpus"),
                ("Python", "python"),
            )
            if found
        ),
        packages=tuple(
            _count(name, [str((each.get("packages") or {}).get(name, "not installed")) for each in found])
            for name in packages
        ),
    )


def _count(name: str, values: Iterable[str]) -> Fact:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return Fact(name, tuple(sorted(counts.items(), key=lambda item: -item[1])))


def _name_commit(environment: Mapping[str, Any]) -> str:
    git = environment.get("git")
    if not git:
        return "installed, no commit known"
    return f"{str(git.get('commit'))[:12]}{' with changes' if git.get('dirty') else ''}"


def _print(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value) or "none"
    return "unknown" if value is None else str(value)


def list_datasets(bound: Iterable[Mapping[str, BoundDataset]]) -> list[DatasetUse]:
    """Return the data sets of tasks, each state of its files once."""
    uses: dict[tuple[str, str], DatasetUse] = {}
    for datasets in bound:
        for name, each in datasets.items():
            settings = each.settings.model_dump(mode="json", exclude_defaults=True)
            asked = ", ".join(f"{key}={_print(value)}" for key, value in settings.items())
            uses[name, each.fingerprint] = DatasetUse(name, asked, each.fingerprint)
    return list(uses.values())


def sum_disk_use(records: Iterable[Record]) -> list[DiskUse]:
    """Return what finished tasks keep in the store by stage, the largest first."""
    stages: dict[str, list[Record]] = {}
    for record in records:
        stages.setdefault(record.stage, []).append(record)
    uses = [
        DiskUse(
            stage,
            len(found),
            sum(len(record.files) for record in found),
            sum(kept.size_bytes for record in found for kept in record.files.values()),
        )
        for stage, found in stages.items()
    ]
    return sorted(uses, key=lambda use: -use.size_bytes)
