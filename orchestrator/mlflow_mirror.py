"""The mirror of records in MLflow: a parent run per sweep of an experiment, a child run per task.

MLflow is never the truth: an outage loses nothing that the store does not hold. What could not be sent is noted as not
mirrored and sent from the records by the next sweep.
"""

from __future__ import annotations

import datetime
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from adapt.errors import PrerequisiteError
from experiments.search_space import describe_point
from orchestrator.record import Record
from orchestrator.scoring import score_record
from orchestrator.store import PICTURES

log = logging.getLogger(__name__)

KEY_TAG = "segshift.task_key"
PARENT_TAG = "mlflow.parentRunId"
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the page opens on runs, not on LLM traces
PARAMETER_LENGTH = 500  # MLflow cuts at 6000; longer ones are in the record, which is an artifact
BATCH = 500  # metrics a call; MLflow takes 1000
TRIAL = "/"  # in the tag of a run: between the key of a search and the number of its trial
TRIAL_ENDS = {"done": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}


def name_trial_run(key: str, number: int) -> str:
    """Return the tag of the run of a trial of the search with this key."""
    return f"{key}{TRIAL}{number:04d}"


class MlflowMirror:
    """Writes runs through an `MlflowClient`; made once per process that writes.

    Args:
        tracking_uri: a server's address, or `sqlite:////abs/mlflow.db`.
        experiment: the segshift experiment; it becomes the MLflow experiment `segshift/<name>`.
        profile: becomes part of the parent run's name.
        artifact_root: where artifacts of a sqlite back end are kept; a server decides for itself.

    Raises:
        PrerequisiteError: the server does not answer.
    """

    def __init__(self, tracking_uri: str, experiment: str, profile: str, artifact_root: str | None) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        self._client = MlflowClient(tracking_uri=tracking_uri)
        self._pictures: dict[str, set[str]] = {}  # key of a task -> names of the pictures that MLflow has of it
        name = f"segshift/{experiment}"
        try:
            found = self._client.get_experiment_by_name(name)
            if found is None:
                location = (
                    f"{artifact_root}/{experiment}" if artifact_root and tracking_uri.startswith("sqlite") else None
                )
                self._experiment_id = self._client.create_experiment(name, location, tags=EXPERIMENT_TAGS)
            else:
                self._experiment_id = found.experiment_id
            self._runs = {
                run.data.tags[KEY_TAG]: run.info.run_id
                for run in self._search(f"tags.`{KEY_TAG}` != ''")
                if KEY_TAG in run.data.tags
            }
            parents = self._search(f"tags.`segshift.parent` = '{experiment}/{profile}'")
            self._parent = parents[0].info.run_id if parents else self._create_parent(experiment, profile)
        except MlflowException as error:
            raise PrerequisiteError(
                f"the MLflow server at {tracking_uri} does not answer: {str(error).splitlines()[0][:200]}. Start it "
                "(`make mlflow`), correct MLFLOW_TRACKING_URI, or leave MLflow out with --no-mlflow."
            ) from error

    def _search(self, condition: str) -> list[Any]:
        runs: list[Any] = []
        token = None
        while True:
            page = self._client.search_runs([self._experiment_id], condition, max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def _create_parent(self, experiment: str, profile: str) -> str:
        tags = {"segshift.parent": f"{experiment}/{profile}", "segshift.profile": profile}
        run = self._client.create_run(self._experiment_id, run_name=f"{experiment} ({profile})", tags=tags)
        return str(run.info.run_id)

    def _open_run(self, key: str, name: str, tags: Mapping[str, str]) -> str:
        if key not in self._runs:
            searched, of_trial, _ = key.partition(TRIAL)
            parent = self._open_run(searched, searched, {"segshift.status": "running"}) if of_trial else self._parent
            tags = {KEY_TAG: key, PARENT_TAG: parent, **tags}
            self._runs[key] = self._client.create_run(self._experiment_id, run_name=name, tags=tags).info.run_id
        return self._runs[key]

    @staticmethod
    def is_refusal(error: Exception) -> bool:
        """Say whether MLflow answered, and refused: sending the same again would not help."""
        from mlflow.exceptions import MlflowException

        if not isinstance(error, MlflowException):
            return False
        status = error.get_http_status_code()
        return 400 <= status < 500 and status not in (408, 429)  # too slow, too many: later it may take them

    def forget(self, key: str) -> None:
        """Make a new run for a task when something of it is sent next."""
        self._runs.pop(key, None)

    def log_steps(self, key: str, name: str, steps: list[tuple[int, int, Mapping[str, float]]]) -> None:
        """Send live scalars of a task.

        Args:
            key: the task's key.
            name: the run's name.
            steps: (milliseconds since the epoch, step, name -> value) in order.
        """
        from mlflow.entities import Metric

        run = self._open_run(key, name, {"segshift.status": "running"})
        metrics = [
            Metric(f"live/{metric}", float(value), at, step)
            for at, step, values in steps
            for metric, value in values.items()
            if math.isfinite(value)
        ]
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(run, metrics=metrics[start : start + BATCH])

    def log_pictures(self, key: str, name: str, files: list[Path]) -> None:
        """Send the pictures of a task that MLflow does not have yet; a name that it has is never sent again.

        Args:
            key: the task's key.
            name: the run's name.
            files: all pictures of the task.
        """
        if not files:
            return
        run = self._open_run(key, name, {"segshift.status": "running"})
        if key not in self._pictures:  # an earlier sweep may have sent some
            self._pictures[key] = {PurePosixPath(a.path).name for a in self._client.list_artifacts(run, PICTURES)}
        for file in files:
            if file.name not in self._pictures[key]:
                self._client.log_artifact(run, str(file), PICTURES)
                self._pictures[key].add(file.name)

    def finish(self, record: Record, name: str) -> None:
        """Send a record: parameters, tags, final scores, the record itself, and the run's end."""
        from mlflow.entities import Metric, Param, RunTag

        tags = {
            "segshift.stage": record.stage,
            "segshift.kind": record.kind,
            "segshift.label": record.label,
            "segshift.profile": record.profile,
            "segshift.status": record.status,
        }
        run = self._open_run(record.key, name, tags)
        # The record's own time, not this moment: sending a record again adds no second point.
        at = int(1000 * (datetime.datetime.fromisoformat(record.started_at).timestamp() + record.seconds))
        scores = {**score_record(record), **record.metrics, "seconds": record.seconds}
        metrics = [Metric(k, float(v), at, 0) for k, v in scores.items() if v is not None and math.isfinite(v)]
        missing = [
            RunTag(f"segshift.missing/{k}", str(v)) for k, v in scores.items() if v is None or not math.isfinite(v)
        ]
        parameters = [
            Param(k, v[:PARAMETER_LENGTH])
            for k, v in flatten(_describe_settings(record) | {"point": record.point}).items()
        ]
        failure = [RunTag("segshift.failure", record.failure.message[:5000])] if record.failure else []
        tag_list = [RunTag(k, v) for k, v in tags.items()] + missing + failure
        before = self._client.get_run(run).data
        parameters = [p for p in parameters if p.key not in before.params]  # one that is set cannot change
        if record.failure is None and "segshift.failure" in before.tags:
            self._client.delete_tag(run, "segshift.failure")
        for start in range(0, max(len(metrics), 1), BATCH):
            self._client.log_batch(run, metrics=metrics[start : start + BATCH])
        for start in range(0, len(parameters), 100):
            self._client.log_batch(run, params=parameters[start : start + 100])
        self._client.log_batch(run, tags=tag_list)
        self._client.log_dict(run, record.model_dump(mode="json"), "record.json")
        self._client.set_terminated(run, "FINISHED" if record.status == "done" else "FAILED")

    def finish_trial(self, record: Record, number: int, trial: Mapping[str, Any]) -> None:
        """Send a trial of a search: its point as parameters, its curve and score, and how it ended.

        Args:
            record: of the search.
            number: of the trial.
            trial: its entry in the list of trials that the search left.
        """
        from mlflow.entities import Metric, Param, RunTag

        tags = {"segshift.stage": record.stage, "segshift.kind": "trial", "segshift.status": trial["status"]}
        key, point = name_trial_run(record.key, number), trial["point"]
        run = self._open_run(key, describe_point(point), tags)
        before = self._client.get_run(run).data
        at = int(1000 * (datetime.datetime.fromisoformat(record.started_at).timestamp() + record.seconds))
        # Not every live report may have arrived; the whole curve is one more metric, whose points are never sent twice.
        metrics = (
            [] if "curve" in before.metrics else [Metric("curve", v, at, step) for step, v in trial.get("curve", ())]
        )
        scores = {"score": trial["score"], "seconds": trial["seconds"]}
        metrics += [Metric(name, float(value), at, 0) for name, value in scores.items() if value is not None]
        parameters = [Param(k, v[:PARAMETER_LENGTH]) for k, v in flatten(point).items() if k not in before.params]
        reason = [RunTag("segshift.reason", trial["reason"][:5000])] if trial["reason"] else []
        tag_list = [RunTag(name, value) for name, value in tags.items()]
        self._client.log_batch(run, metrics[:BATCH], parameters, tag_list + reason)  # one call for nearly every trial
        for start in range(BATCH, len(metrics), BATCH):
            self._client.log_batch(run, metrics=metrics[start : start + BATCH])
        self._client.set_terminated(run, TRIAL_ENDS[trial["status"]])

    def finish_parent(self, status: str) -> None:
        """End the sweep's own run: `FINISHED`, `FAILED` or `KILLED`."""
        self._client.set_terminated(self._parent, status)


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as dotted keys and printed values, the form that MLflow compares runs in."""
    flat: dict[str, str] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = str(value)
    return flat


def _describe_settings(record: Record) -> dict[str, Any]:
    """Return a record's settings with those that it really ran with: a search may have chosen other values than the file's."""
    method = record.method or {}
    if "stage" in method:
        return {**record.settings, **method["stage"]}
    chosen = method.get("settings")
    return record.settings if chosen is None else record.settings | {"method": chosen}
