"""Records from an MLflow server that mirrors a store: what a leaderboard is made of where the store is not at hand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from adapt.errors import PrerequisiteError
from adapt.hashing import hash_file
from experiments.graph import Graph, expand, name_variant
from experiments.load import list_profiles, load_experiment
from experiments.recorded_facts import RecordedFacts
from orchestrator.mlflow_connection import connect, explain_error, search_runs
from orchestrator.mlflow_mirror import PLAN_FILE, SWEEP_TAG, TRIAL
from orchestrator.mlflow_models import KEY_TAG
from orchestrator.plan_note import PlanNote, parse_plan
from orchestrator.record import FILE, Record, read_record

OTHERWISE = "make the leaderboard from the store, without --mlflow"
REBUILD = "`segshift mlflow rebuild` where the store is"


@dataclass(frozen=True)
class PlannedElsewhere:
    """An experiment that was swept on another machine, as its plan in MLflow says.

    Attributes:
        graph: its tasks, with the keys that they have there.
        is_miniature: whether its data is the procedural miniature.
    """

    graph: Graph
    is_miniature: bool


class MlflowSource:
    """What an MLflow server holds of an experiment; asked once, and records and files are brought when they are wanted.

    Args:
        tracking_uri: the server's address, or `sqlite:////abs/mlflow.db`.
        experiment: the segshift experiment.
        keys: the tasks that will be asked for.
        cache: a folder of this machine for what is brought; what lies there whole is not brought again.

    Raises:
        PrerequisiteError: the server does not answer, refuses access, or knows no such experiment.
    """

    def __init__(self, tracking_uri: str, experiment: str, keys: set[str], cache: Path) -> None:
        self._uri = tracking_uri
        self._cache = cache
        self._client = connect(tracking_uri)
        with _explaining(tracking_uri):
            runs = search_runs(
                self._client, _find_experiment(self._client, experiment, tracking_uri), f"tags.`{KEY_TAG}` != ''"
            )
        self._runs: dict[str, Any] = {}
        for run in runs:  # the newest first: where a task has several, that one counts
            key = run.data.tags[KEY_TAG]
            if key in keys and TRIAL not in key and run.info.status in ("FINISHED", "FAILED"):
                self._runs.setdefault(key, run)
        self._records: dict[str, Record] = {}
        self._unusable: dict[str, str] = {}  # key -> what is wrong with its record

    def find_record(self, key: str) -> Record | None:
        """Return the record of a finished task, or None where there is none."""
        record = self._read(key)
        return record if record is not None and record.status == "done" else None

    def explain_missing(self, key: str) -> str | None:
        """Say why a task has no record that can be used: its failure, or what is wrong with its record; None if it never ran."""
        record = self._read(key)
        if key in self._unusable:
            return self._unusable[key]
        failure = None if record is None else record.failure
        return None if failure is None else f"failed with {failure.kind}: {failure.message}".splitlines()[0][:200]

    def find_file(self, key: str, name: str) -> Path | None:
        """Return a file of a finished task, whose hash is the record's; None where it is gone or damaged."""
        record = self.find_record(key)
        kept = None if record is None else record.files.get(name)
        if kept is None or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            return None  # a server's record shall not name files elsewhere on this machine
        path = self._cache / key / name
        if not path.is_file() or hash_file(path) != kept.sha256:
            self._bring(key, name)
        return path if path.is_file() and hash_file(path) == kept.sha256 else None

    def _read(self, key: str) -> Record | None:
        if key not in self._runs or key in self._unusable:
            return None
        if key not in self._records:
            path = self._bring(key, FILE)  # always anew: a task that failed may be done since
            run = self._runs[key].info.run_id
            try:
                if path is None:
                    raise PrerequisiteError(f"the run {run} in MLflow has no {FILE}. Mend it by {REBUILD}.")
                record = read_record(path)
                if record.key != key:
                    raise PrerequisiteError(
                        f"the run {run} in MLflow has the record of another task. Mend it by {REBUILD}."
                    )
            except PrerequisiteError as error:
                self._unusable[key] = str(error)
                return None
            self._records[key] = record
        return self._records[key]

    def _bring(self, key: str, name: str) -> Path | None:
        """Bring a file of a run into the cache; None where the run has no such file."""
        run = self._runs[key].info.run_id
        folder = (self._cache / key / name).parent  # MLflow writes `frames/index.json` as `index.json`
        folder.mkdir(parents=True, exist_ok=True)
        return _download(self._client, run, name, folder, self._uri)


def expand_from_mlflow(
    tracking_uri: str,
    name: str,
    cache: Path,
    profile: str | None = None,
    overrides: Sequence[str] = (),
    limit: int | None = None,
) -> PlannedElsewhere:
    """Expand an experiment by the plan that a sweep left in MLflow: no data and no weights are needed here.

    Args:
        tracking_uri: the server's address, or `sqlite:////abs/mlflow.db`.
        name: name of a shipped experiment, or path to a YAML file.
        cache: a folder of this machine for what is brought.
        profile: the profile; None takes the one that was swept last with these overrides.
        overrides: `key=value` overrides, as the sweep had them.
        limit: as the sweep had it.

    Raises:
        PrerequisiteError: the server does not answer, refuses access, or has no plan of such a sweep.
        SpecError: the experiment is not understood.
    """
    client = connect(tracking_uri)
    profiles = list_profiles(name) if profile is None else [profile]
    candidates = [load_experiment(name, each, overrides, limit) for each in profiles]
    experiment = candidates[0].name
    with _explaining(tracking_uri):
        runs = search_runs(client, _find_experiment(client, experiment, tracking_uri), f"tags.`{SWEEP_TAG}` != ''")
    newest_first = sorted(runs, key=lambda run: -run.info.start_time)
    for run in newest_first:
        for loaded in candidates:
            variant = name_variant(loaded.profile, loaded.overrides)
            if run.data.tags[SWEEP_TAG] == f"{experiment}/{variant}":
                facts = _read_plan(client, run.info.run_id, cache, tracking_uri).facts
                graph = expand(loaded, RecordedFacts(loaded, facts))
                return PlannedElsewhere(graph, loaded.settings.miniature is not None)
    there = ", ".join(run.data.tags[SWEEP_TAG] for run in newest_first) or "none"
    raise PrerequisiteError(
        f"the MLflow server at {tracking_uri} has no sweep of {experiment} under this profile with these overrides (it has: "
        f"{there}). Name one with --profile, or give its overrides."
    )


def _read_plan(client: Any, run: str, cache: Path, tracking_uri: str) -> PlanNote:
    folder = cache / run
    folder.mkdir(parents=True, exist_ok=True)
    path = _download(client, run, PLAN_FILE, folder, tracking_uri)
    if path is None:
        raise PrerequisiteError(
            f"the sweep's run {run} at {tracking_uri} has no {PLAN_FILE}: an older segshift made it. Sweep the experiment again "
            f"with the same store, which computes nothing anew, and then say {REBUILD}."
        )
    return parse_plan(path.read_text(encoding="utf-8"), f"{PLAN_FILE} of the run {run}")


def _find_experiment(client: Any, experiment: str, tracking_uri: str) -> str:
    found = client.get_experiment_by_name(f"segshift/{experiment}")
    if found is None:
        names = [each.name for each in client.search_experiments() if each.name.startswith("segshift/")]
        raise PrerequisiteError(
            f"the MLflow server at {tracking_uri} has no experiment segshift/{experiment} (it has: "
            f"{', '.join(sorted(names)) or 'none of segshift'}). Correct the name or MLFLOW_TRACKING_URI, or send it there by "
            f"{REBUILD}."
        )
    return str(found.experiment_id)


def _download(client: Any, run: str, name: str, folder: Path, tracking_uri: str) -> Path | None:
    """Bring an artifact; None where there is none of that name."""
    from mlflow.exceptions import MlflowException

    try:
        return Path(client.download_artifacts(run, name, str(folder)))
    except (MlflowException, OSError) as error:
        with _explaining(tracking_uri):
            parent = name.rpartition("/")[0] or None
            if any(artifact.path == name for artifact in client.list_artifacts(run, parent)):
                raise PrerequisiteError(
                    f"{name} of the run {run} could not be brought from MLflow at {tracking_uri}: "
                    f"{str(error).splitlines()[0][:200]}. Try again, or {OTHERWISE}."
                ) from error
        return None


@contextlib.contextmanager
def _explaining(tracking_uri: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise explain_error(error, tracking_uri, OTHERWISE) from error
