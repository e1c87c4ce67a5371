"""MLflow's runs made anew from the records of a store: nothing else is needed, and what is there already is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from adapt.errors import PrerequisiteError
from orchestrator.mlflow_connection import explain_error
from orchestrator.mlflow_mirror import MlflowMirror
from orchestrator.mlflow_run import MAIN_SCORE, name_protocol
from orchestrator.mlflow_sending import choose_aliases, send_record
from orchestrator.plan_note import PlanNote, list_plans
from orchestrator.record import Record
from orchestrator.store import Store
from orchestrator.tracker import MirrorTarget

OTHERWISE = "give another with --tracking-uri"


@dataclass(frozen=True)
class Sweep:
    """What one parent run of MLflow holds.

    Attributes:
        experiment: its name.
        variant: the profile, with a hash of the overrides where there are any.
        keys: of its tasks, each after its inputs.
        ranked: keys of the tasks of one table.
        baseline: keys of the trainings that it is compared with.
        plan: the plan that it was made by, where the store has it.
    """

    experiment: str
    variant: str
    keys: tuple[str, ...]
    ranked: tuple[str, ...]
    baseline: tuple[str, ...]
    plan: PlanNote | None = None


@dataclass(frozen=True)
class Rebuilt:
    """What became of one sweep.

    Attributes:
        sweep: of which.
        records: how many it has, failed ones too.
        changed: runs that were made or changed, trials too.
        problems: records that could not be sent, in sentences.
    """

    sweep: Sweep
    records: int
    changed: int
    problems: tuple[str, ...]


def list_sweeps(store: Store, experiment: str | None) -> list[Sweep]:
    """Return what MLflow should hold of a store: the sweeps that left a plan, and what none of them names, by its profile.

    Args:
        store: the store.
        experiment: its name; None returns all.

    Raises:
        PrerequisiteError: there is nothing.
    """
    sweeps = [
        Sweep(plan.experiment, plan.variant, plan.tasks, plan.ranked, plan.baseline, plan) for plan in list_plans(store)
    ]
    known = {key for sweep in sweeps for key in sweep.keys}
    store.fetch_records(store.list_done())
    records = {record.key: record for record in _read_all(store)}
    rest: dict[tuple[str, str], list[Record]] = {}
    for record in records.values():
        if record.key not in known:
            rest.setdefault((record.experiment, record.profile), []).append(record)
    sweeps += [_gather(*name, group, records) for name, group in sorted(rest.items())]
    chosen = [sweep for sweep in sweeps if experiment in (None, sweep.experiment)]
    if not chosen:
        names = ", ".join(sorted({sweep.experiment for sweep in sweeps})) or "none at all"
        wanted = "an experiment" if experiment is None else f"the experiment '{experiment}'"
        raise PrerequisiteError(
            f"the store {store.place} has no records of {wanted} (it has those of: {names}). Give another store with --store."
        )
    return chosen


def _gather(experiment: str, profile: str, own: Sequence[Record], records: dict[str, Record]) -> Sweep:
    """Return the sweep that some records are left of, with what they were made from, each after its inputs."""
    keys: dict[str, None] = {}

    def add(key: str) -> None:
        if key in records and key not in keys:
            for needed in records[key].inputs.values():
                add(needed)
            keys[key] = None

    for record in sorted(own, key=lambda record: record.started_at):
        add(record.key)
    tables: dict[tuple[str, str | None], list[str]] = {}
    for record in own:
        if record.kind in MAIN_SCORE and record.network is not None and record.network.trained_by is not None:
            tables.setdefault((record.stage, name_protocol(record)), []).append(record.key)
    ranked = max(tables.values(), key=len, default=[])
    baseline = [key for key in keys if records[key].kind == "train"]
    return Sweep(experiment, profile, tuple(keys), tuple(ranked), tuple(baseline))


def _read_all(store: Store) -> Iterator[Record]:
    """Yield the records of a store, and those of failures; one that cannot be read is passed over, `store verify` names it."""
    for key in sorted(store.list_done() | store.list_failed()):
        record = _read(store, key)
        if record is not None:
            yield record


def _read(store: Store, key: str) -> Record | None:
    try:
        return store.read(key) if store.is_done(key) else store.read_failure(key)
    except PrerequisiteError:
        return None


def rebuild(
    store: Store,
    sweep: Sweep,
    tracking_uri: str,
    artifact_root: str | None,
    on_progress: Callable[[int, int], None],
) -> Rebuilt:
    """Make or mend the runs of one sweep.

    Args:
        store: the records.
        sweep: from `list_sweeps`.
        tracking_uri: of a server, or of the store's own sqlite file.
        artifact_root: where artifacts of a sqlite back end are kept.
        on_progress: called with how many records were looked at, and how many there are.

    Raises:
        PrerequisiteError: the server does not answer, or refuses access.
    """
    from mlflow.exceptions import MlflowException

    target = MirrorTarget(tracking_uri, sweep.experiment, sweep.variant, artifact_root)
    mirror = MlflowMirror(tracking_uri, sweep.experiment, sweep.variant, artifact_root, str(store.place), OTHERWISE)
    records = [record for key in sweep.keys if (record := _read(store, key)) is not None]
    changed, problems = 0, []
    try:
        if sweep.plan is not None:
            mirror.send_plan(sweep.plan.model_dump_json(indent=1))
        for number, record in enumerate(records):
            on_progress(number, len(records))
            try:
                changed += send_record(mirror, store, record)
            except MlflowException as error:
                if not mirror.is_refusal(error):
                    raise
                problems.append(f"{record.label} ({record.key[:8]}): {str(error).splitlines()[0][:200]}")
                continue
            if record.status == "done":
                target.mark(store, record.key)
        on_progress(len(records), len(records))
        if not mirror.has_ended():
            done = sum(record.status == "done" for record in records)
            mirror.finish_parent("FINISHED" if done == len(sweep.keys) else "FAILED")
        mirror.point_aliases(choose_aliases(store, sweep.ranked, sweep.baseline))
    except MlflowException as error:
        raise explain_error(error, tracking_uri, OTHERWISE) from error
    return Rebuilt(sweep, len(records), changed, tuple(problems))
