"""From an experiment's name to its graph: choose the profile that this machine can run, and say what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from adapt.data.cache import CacheSettings
from adapt.errors import PrerequisiteError, SpecError
from experiments.facts import WorkspaceFacts
from experiments.graph import Graph, expand
from experiments.load import LoadedExperiment, list_profiles, load_experiment
from experiments.workspace import Workspace


@dataclass(frozen=True)
class Plan:
    """A graph that is ready to run, or the problems that keep it from running.

    Attributes:
        loaded: the experiment under the chosen profile.
        graph: its tasks.
        facts: where its data and weights are.
        problems: what is missing, each a sentence with its remedy; empty when the plan can run.
        passed_over: profile -> why it was not chosen, where the choice was ours.
        cache: where this user has decoded images kept, or None.
    """

    loaded: LoadedExperiment
    graph: Graph
    facts: WorkspaceFacts
    problems: tuple[str, ...]
    passed_over: dict[str, str] = field(default_factory=dict)
    cache: CacheSettings | None = None

    def require(self) -> None:
        """Refuse a plan that cannot run.

        Raises:
            PrerequisiteError: data, weights or GPUs are missing; each is named with its remedy.
        """
        if self.problems:
            text = f"{self.graph.name} ({self.graph.profile} profile) cannot run here:\n  - " + "\n  - ".join(
                self.problems
            )
            if self.passed_over:
                text += "\nProfiles tried before: " + "; ".join(
                    f"{name}: {why}" for name, why in self.passed_over.items()
                )
            raise PrerequisiteError(text)


def plan_experiment(
    name: str,
    workspace: Workspace,
    profile: str | None = None,
    overrides: Sequence[str] = (),
    gpus: int | None = 0,
    wants_data: bool = False,
    cpus: int | None = None,
    limit: int | None = None,
) -> Plan:
    """Expand an experiment under a profile, or under the first of its profiles that can run here.

    Args:
        name: name of a shipped experiment, or path to a YAML file.
        workspace: where data and weights are.
        profile: the profile to use; None tries them in the order of the file and falls back to the last.
        overrides: `key=value` overrides.
        gpus: GPUs of the machine or cluster; None when that is not known yet.
        wants_data: whether the user named a data folder for this very run: then no miniature is taken in its stead.
        cpus: cores of the machine; None when that is not known, or of a cluster.
        limit: has every evaluation and benchmark score the first so many frames alone.

    Raises:
        SpecError: the experiment is not understood.
    """
    passed_over: dict[str, str] = {}
    plan: Plan | None = None
    candidates = [profile] if profile is not None else list(list_profiles(name))
    for candidate in candidates:
        loaded = load_experiment(name, candidate, overrides, limit)
        if plan is not None and wants_data and loaded.settings.miniature is not None:
            hint = f"To run the miniature although a data folder was named, say --profile {candidate}."
            return replace(plan, problems=(*plan.problems, hint))
        facts = WorkspaceFacts(loaded, workspace)
        graph = expand(loaded, facts)
        problems = (*dict.fromkeys(facts.problems), *_list_machine_problems(graph, gpus, cpus))
        plan = Plan(loaded, graph, facts, problems, dict(passed_over), workspace.cache)
        if not problems:
            return plan
        passed_over[candidate] = problems[0].partition(". ")[0]
    if plan is None:
        raise SpecError(f"{name}: `profiles` is empty. Give the file a profile, or leave `profiles` out.")
    return plan


def _list_machine_problems(graph: Graph, gpus: int | None, cpus: int | None) -> list[str]:
    problems: dict[str, str] = {}
    for task in graph.tasks.values():
        wanted, workers = task.resources, task.workers
        if gpus is not None and wanted.gpus * workers > gpus:
            each = f" for each of {workers} workers" if workers > 1 else ""
            problems[task.stage] = (
                f"stage '{task.stage}' asks for {wanted.gpus:g} GPU(s){each} and this machine has {gpus}. "
                "Use another profile (--profile), a cluster (--address), or the override resources.gpus=0."
            )
        elif cpus is not None and workers > 1 and wanted.cpus * workers > cpus:
            problems[task.stage] = (
                f"stage '{task.stage}' asks for {wanted.cpus:g} CPU(s) for each of {workers} workers and this machine has "
                f"{cpus}. Lower its `training.workers` or its `resources`, or use a cluster (--address)."
            )
    return list(problems.values())
