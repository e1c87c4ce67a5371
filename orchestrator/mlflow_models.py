"""The networks of an experiment in MLflow: a LoggedModel for each checkpoint, a registered model with versions and aliases.

The weights stay in the store: a model says where they lie and what their hash is. Copies of gigabytes help nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.record import Record

KEY_TAG = "segshift.task_key"
CHECKPOINT = "checkpoint.pth"  # WEIGHTS_FILE of adapt.openmmlab.checkpoint, which imports torch
_BAD_CHARACTERS = str.maketrans(dict.fromkeys("/:.%\"'", "-"))  # that MLflow refuses in names of models


def name_registered(experiment: str) -> str:
    """Return under which name the networks of an experiment are registered."""
    return f"segshift.{experiment}".replace("/", "_").replace(":", "_")


class LoggedModels:
    """The networks of one MLflow experiment.

    Args:
        client: an `MlflowClient`.
        experiment_id: of the MLflow experiment.
        experiment: the segshift experiment.
        place: where the store is, as its user names it: that of the checkpoints.
    """

    def __init__(self, client: Any, experiment_id: str, experiment: str, place: str) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._name = name_registered(experiment)
        self._place = place
        self._models: dict[str, str] | None = None  # key of the training -> id of its model, once asked for
        self._versions: dict[str, str] | None = None  # the same -> version of the registered model

    def find(self, key: str | None) -> str | None:
        """Return the id of the model that a training made, or None where MLflow has none."""
        if self._models is None:
            found: dict[str, str] = {}
            token = None
            while True:
                page = self._client.search_logged_models([self._experiment_id], max_results=100, page_token=token)
                found |= {model.tags[KEY_TAG]: model.model_id for model in page if KEY_TAG in model.tags}
                token = page.token
                if not token:
                    break
            self._models = found
        return None if key is None else self._models.get(key)

    def add(self, record: Record, run: str, title: str) -> None:
        """Make the model and the version of a training where there are none, and link them with its run.

        Args:
            record: of the training.
            run: the id of its run.
            title: of the run.
        """
        from mlflow.entities import LoggedModelOutput

        network = record.network
        if record.kind not in ("train", "uda") or record.status != "done" or network is None:
            return
        model = self.find(record.key)
        tags = {
            KEY_TAG: record.key,
            "segshift.checkpoint_sha256": str(network.checkpoint_sha256),
            "segshift.checkpoint": f"{self._place.rstrip('/')}/tasks/{record.key}/{CHECKPOINT}",
        }
        if model is None or self._models is None:
            parameters = {"architecture": network.architecture, "parameters": str(network.parameters)}
            name = title.translate(_BAD_CHARACTERS)
            made = self._client.create_logged_model(
                self._experiment_id, name, source_run_id=run, tags=tags, params=parameters, model_type="segmentation"
            )
            model = str(made.model_id)
            self._client.finalize_logged_model(model, "READY")
            self._models = {**(self._models or {}), record.key: model}
        outputs = self._client.get_run(run).outputs
        if model not in {output.model_id for output in (outputs.model_outputs if outputs else ())}:
            self._client.log_outputs(run, [LoggedModelOutput(model, step=0)])
        self._register(record.key, model, run, tags)

    def _register(self, key: str, model: str, run: str, tags: Mapping[str, str]) -> None:
        from mlflow.exceptions import MlflowException

        versions = self._list_versions()
        if key in versions:
            return
        if not versions:
            try:
                self._client.create_registered_model(self._name, description="Networks trained by segshift.")
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        source = self._client.get_logged_model(model).artifact_location
        made = self._client.create_model_version(
            self._name, source, run_id=run, tags=dict(tags), model_id=model, await_creation_for=0
        )
        versions[key] = str(made.version)

    def _list_versions(self) -> dict[str, str]:
        if self._versions is None:
            found: dict[str, str] = {}
            token = None
            while True:
                page = self._client.search_model_versions(f"name='{self._name}'", max_results=1000, page_token=token)
                found |= {version.tags[KEY_TAG]: str(version.version) for version in page if KEY_TAG in version.tags}
                token = page.token
                if not token:
                    break
            self._versions = found
        return self._versions

    def point(self, aliases: Mapping[str, str]) -> None:
        """Have aliases point at networks; one whose network is not registered stays where it is.

        Args:
            aliases: alias -> key of a training.
        """
        versions = {alias: self._list_versions().get(key) for alias, key in aliases.items()}
        wanted = {alias: version for alias, version in versions.items() if version is not None}
        if wanted:
            before = {a: str(v) for a, v in self._client.get_registered_model(self._name).aliases.items()}
            for alias, version in wanted.items():
                if before.get(alias) != version:
                    self._client.set_registered_model_alias(self._name, alias, version)
