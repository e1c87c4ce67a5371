"""The mirror of records in MLflow: a parent run per sweep of an experiment, a child run per task, below it one per trial.

MLflow is never the truth: an outage loses nothing that the store does not hold. What could not be sent is noted as not
mirrored and sent from the records by the next sweep, or by `segshift mlflow rebuild`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from experiments.search_space import describe_point
from orchestrator import mlflow_run
from orchestrator.mlflow_connection import WITHOUT, connect, explain_error, read_status, search_runs
from orchestrator.mlflow_models import KEY_TAG, LoggedModels
from orchestrator.mlflow_run import PARAMETER_LENGTH, allow_name, flatten
from orchestrator.record import FILE, Record, dump_record
from orchestrator.scoring import score_record
from orchestrator.store import PICTURES

log = logging.getLogger(__name__)

PARENT_TAG = "mlflow.parentRunId"
NAME_TAG = "mlflow.runName"
SWEEP_TAG = "segshift.parent"  # of a parent run: `experiment/variant`
PLAN_TAG = "segshift.plan"  # of a parent run: digest of the plan that it has
MISSING_TAG = "segshift.missing/"  # before the name of a score: why the run has none
PLAN_FILE = "plan.json"
MIRRORED_TAG = "segshift.mirrored"  # of a run that is complete: digest of what was sent
FORMAT = 3  # of what is sent of a record; raised when that changes, so that a rebuild sends it again
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the page opens on runs, not on LLM traces
BATCH = 500  # metrics a call; MLflow takes 1000
TAG_LENGTH = 5000  # of a value; MLflow takes 8000
SMALL_BATCH = 100  # parameters or tags a call
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
        place: where the store is, as its user names it; checkpoints are told to lie there.
        otherwise: what to do where the server does not answer, as the end of a sentence.

    Raises:
        PrerequisiteError: the server does not answer, or refuses access.
    """

    def __init__(
        self,
        tracking_uri: str,
        experiment: str,
        profile: str,
        artifact_root: str | None,
        place: str = "",
        otherwise: str = WITHOUT,
    ) -> None:
        self._client = connect(tracking_uri)
        from mlflow.exceptions import MlflowException

        self._experiment = experiment
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
            runs = search_runs(self._client, self._experiment_id, f"tags.`{KEY_TAG}` != ''")
            self._runs: dict[str, str] = {run.data.tags[KEY_TAG]: run.info.run_id for run in runs}
            self._mirrored = {run.data.tags[KEY_TAG]: run.data.tags.get(MIRRORED_TAG) for run in runs}
            parents = search_runs(self._client, self._experiment_id, f"tags.`{SWEEP_TAG}` = '{experiment}/{profile}'")
            self._parent = parents[0] if parents else self._create_parent(experiment, profile)
        except MlflowException as error:
            raise explain_error(error, tracking_uri, otherwise) from error
        self._models = LoggedModels(self._client, self._experiment_id, experiment, place)

    def _create_parent(self, experiment: str, profile: str) -> Any:
        tags = {SWEEP_TAG: f"{experiment}/{profile}", "segshift.profile": profile, "segshift.kind": "sweep"}
        return self._client.create_run(self._experiment_id, run_name=f"{experiment} ({profile})", tags=tags)

    def _open_run(self, key: str, name: str, tags: Mapping[str, str], started: int | None = None) -> tuple[str, bool]:
        """Return the id of the run with a key and whether it was there; `started` is in milliseconds since the epoch."""
        if key in self._runs:
            return self._runs[key], True
        searched, of_trial, _ = key.partition(TRIAL)
        parent = self._parent.info.run_id
        if of_trial:
            parent, _ = self._open_run(searched, searched, {"segshift.status": "running"})
        tags = {KEY_TAG: key, PARENT_TAG: parent, **tags}
        made = self._client.create_run(self._experiment_id, start_time=started, run_name=name, tags=tags)
        self._runs[key] = made.info.run_id
        return self._runs[key], False

    @staticmethod
    def is_refusal(error: Exception) -> bool:
        """Say whether MLflow answered, and refused: sending the same again would not help."""
        from mlflow.exceptions import MlflowException

        if not isinstance(error, MlflowException):
            return False
        status = read_status(error)
        return 400 <= status < 500 and status not in (408, 429)  # too slow, too many: later it may take them

    def forget(self, key: str) -> None:
        """Make a new run for a task when something of it is sent next."""
        self._runs.pop(key, None)
        self._mirrored.pop(key, None)

    def send_plan(self, text: str) -> None:
        """Keep the plan of the sweep with its parent run; one that it has is not sent again."""
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        if self._parent.data.tags.get(PLAN_TAG) != digest:
            self._client.log_text(self._parent.info.run_id, text, PLAN_FILE)
            self._client.set_tag(self._parent.info.run_id, PLAN_TAG, digest)

    def log_steps(self, key: str, name: str, steps: list[tuple[int, int, Mapping[str, float]]]) -> None:
        """Send live scalars of a task.

        Args:
            key: the task's key.
            name: the run's name until its record is sent.
            steps: (milliseconds since the epoch, step, name -> value) in order.
        """
        from mlflow.entities import Metric

        run, _ = self._open_run(key, name, {"segshift.status": "running"})
        metrics = [
            Metric(allow_name(f"live/{metric}"), float(value), at, step)
            for at, step, values in steps
            for metric, value in values.items()
            if math.isfinite(value)
        ]
        self._log_metrics(run, metrics)

    def _log_metrics(self, run: str, metrics: Sequence[Any]) -> None:
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(run, metrics=metrics[start : start + BATCH])

    def log_pictures(self, key: str, name: str, files: Sequence[Path]) -> None:
        """Send the pictures of a task that MLflow does not have yet; a name that it has is never sent again.

        Args:
            key: the task's key.
            name: the run's name until its record is sent.
            files: all pictures of the task.
        """
        if not files:
            return
        run, _ = self._open_run(key, name, {"segshift.status": "running"})
        if key not in self._pictures:  # an earlier sweep may have sent some
            self._pictures[key] = {PurePosixPath(a.path).name for a in self._client.list_artifacts(run, PICTURES)}
        for file in files:
            if file.name not in self._pictures[key]:
                self._client.log_artifact(run, str(file), PICTURES)
                self._pictures[key].add(file.name)

    def finish(
        self,
        record: Record,
        trained: Record | None = None,
        files: Mapping[str, Path] | None = None,
        pictures: Sequence[Path] = (),
    ) -> bool:
        """Send a record: name, tags, parameters, final scores, curves, data sets, network, artifacts, and the run's end.

        Args:
            record: of the task.
            trained: of the task that trained the network that it scores, where one did.
            files: name below the task's folder -> file, of those that are sent as artifacts of these names.
            pictures: all pictures that the task drew while it ran.

        Returns:
            Whether there was something to send: a run that has all of it is left alone.
        """
        sent = [*sorted(files or ()), *(picture.name for picture in pictures)]
        digest = self._digest(dump_record(record), trained.label if trained is not None else None, sent)
        if self._has(record.key, digest):
            return False
        name = mlflow_run.name_run(record, trained, self._experiment)
        tags = mlflow_run.describe_tags(record, trained)
        at = mlflow_run.date_end(record)  # not this moment: sending a record again adds no second point
        run, was_there = self._open_run(record.key, name, tags, int(at - 1000 * record.seconds))
        before = self._client.get_run(run) if was_there else None
        self._describe(run, before, record, trained, name)
        self._log_scores(run, record, at)
        self._link(run, record, name)
        self.log_pictures(record.key, name, pictures)
        self._send_files(run, record, files or {})
        self._client.set_terminated(run, "FINISHED" if record.status == "done" else "FAILED", at)
        self._client.set_tag(run, MIRRORED_TAG, digest)
        self._mirrored[record.key] = digest
        return True

    def _digest(self, *sent: Any) -> str:
        text = json.dumps([FORMAT, self._experiment, *sent], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _has(self, key: str, digest: str) -> bool:
        """Say whether the run of a record is complete: its artifacts may have been deleted since."""
        return self._mirrored.get(key) == digest and any(
            artifact.path == FILE for artifact in self._client.list_artifacts(self._runs[key])
        )

    def _describe(self, run: str, before: Any, record: Record, trained: Record | None, name: str) -> None:
        """Set name, tags and parameters of a run that may have some already: a parameter that is set cannot change."""
        from mlflow.entities import Param, RunTag

        tags = mlflow_run.describe_tags(record, trained)
        reasons = mlflow_run.explain_missing(record)
        missing = {allow_name(f"{MISSING_TAG}{name}"): reason for name, reason in reasons.items()}
        failure = {"segshift.failure": record.failure.message} if record.failure else {}
        all_tags = [RunTag(key, value[:TAG_LENGTH]) for key, value in {**tags, **missing, **failure}.items()]
        known = {} if before is None else before.data.params
        parameters = [Param(k, v) for k, v in mlflow_run.describe_parameters(record, trained).items() if k not in known]
        for start in range(0, max(len(parameters), len(all_tags)), SMALL_BATCH):
            part = slice(start, start + SMALL_BATCH)
            self._client.log_batch(run, params=parameters[part])
            self._client.log_batch(run, tags=all_tags[part])
        if before is not None:
            if record.failure is None and "segshift.failure" in before.data.tags:
                self._client.delete_tag(run, "segshift.failure")
            for tag in before.data.tags:
                if tag.startswith(MISSING_TAG) and tag not in missing:
                    self._client.delete_tag(run, tag)
            if before.data.tags.get(NAME_TAG) != name:
                self._client.update_run(run, name=name)

    def _log_scores(self, run: str, record: Record, at: int) -> None:
        """Log final scores, of which those that no cell or class has alone are the network's too, and curves."""
        from mlflow.entities import Metric

        model = self._models.find(record.network.trained_by) if record.network is not None else None
        of_model: dict[str, Any] = {"model_id": model}
        datasets = mlflow_run.list_datasets(record)
        if len(datasets) == 1:
            of_model |= {"dataset_name": datasets[0].name, "dataset_digest": datasets[0].digest}
        of_network = {name for name in score_record(record) if "/" not in name} if model is not None else set()
        self._log_metrics(
            run,
            [
                Metric(point.metric, point.value, at, point.step, **(of_model if point.metric in of_network else {}))
                for point in mlflow_run.list_points(record)
            ],
        )

    def _link(self, run: str, record: Record, name: str) -> None:
        """Link a run with its data sets and networks."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput

        datasets = [
            DatasetInput(
                Dataset(each.name, each.digest, "segshift", each.source),
                [InputTag("mlflow.data.context", each.context)],
            )
            for each in mlflow_run.list_datasets(record)
        ]
        trained_by = record.network.trained_by if record.network is not None else None
        model = self._models.find(trained_by) if trained_by != record.key else None
        models = [LoggedModelInput(model)] if model is not None else []
        if datasets or models:
            self._client.log_inputs(run, datasets, models)
        self._models.add(record, run, name)

    def _send_files(self, run: str, record: Record, files: Mapping[str, Path]) -> None:
        """Send files under their names, figures, and the record last."""
        from orchestrator.mlflow_figures import FOLDER, draw_figures  # its matplotlib takes a second to import

        for name, file in files.items():
            folder = PurePosixPath(name).parent.as_posix()
            self._client.log_artifact(run, str(file), None if folder == "." else folder)
        with tempfile.TemporaryDirectory() as place:
            if draw_figures(record, Path(place)):
                self._client.log_artifacts(run, place, FOLDER)
        self._client.log_text(run, dump_record(record), FILE)

    def finish_trial(self, record: Record, number: int, trial: Mapping[str, Any]) -> bool:
        """Send a trial of a search: its point as parameters, its curve and score, and how it ended.

        Args:
            record: of the search.
            number: of the trial.
            trial: its entry in the list of trials that the search left.

        Returns:
            Whether there was something to send.
        """
        from mlflow.entities import Metric, Param, RunTag

        key, point, digest = name_trial_run(record.key, number), trial["point"], self._digest(trial)
        if self._mirrored.get(key) == digest:
            return False
        tags = {"segshift.stage": record.stage, "segshift.kind": "trial", "segshift.status": trial["status"]}
        at = mlflow_run.date_end(record)
        name = describe_point(point)[: mlflow_run.NAME_LENGTH]
        run, was_there = self._open_run(key, name, tags, int(at - 1000 * record.seconds))
        before = self._client.get_run(run).data if was_there else None
        # Not every live report may have arrived; the whole curve is one more metric, whose points are never sent twice.
        has_curve = before is not None and "curve" in before.metrics
        metrics = [] if has_curve else [Metric("curve", v, at, step) for step, v in trial.get("curve", ())]
        scores = {"score": trial["score"], "seconds": trial["seconds"]}
        metrics += [Metric(name, float(value), at, 0) for name, value in scores.items() if value is not None]
        known = {} if before is None else before.params
        values = {allow_name(k): v[:PARAMETER_LENGTH] for k, v in flatten(point).items()}
        parameters = [Param(k, v) for k, v in values.items() if k not in known]
        reason = {"segshift.reason": trial["reason"][:TAG_LENGTH]} if trial["reason"] else {}
        self._client.set_terminated(run, TRIAL_ENDS[trial["status"]], int(at))
        self._log_metrics(run, metrics[BATCH:])
        all_tags = [RunTag(k, v) for k, v in {**tags, **reason, MIRRORED_TAG: digest}.items()]
        self._client.log_batch(run, metrics[:BATCH], parameters, all_tags)  # the mark that it is complete comes last
        self._mirrored[key] = digest
        return True

    def point_aliases(self, aliases: Mapping[str, str]) -> None:
        """Have aliases of the registered model point at networks: alias -> key of the training."""
        self._models.point(aliases)

    def finish_parent(self, status: str) -> None:
        """End the sweep's own run: `FINISHED`, `FAILED` or `KILLED`."""
        self._client.set_terminated(self._parent.info.run_id, status)

    def has_ended(self) -> bool:
        """Say whether the sweep's own run had ended when this mirror was made."""
        return str(self._parent.info.status) != "RUNNING"
