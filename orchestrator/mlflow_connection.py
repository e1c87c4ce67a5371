"""A connection to MLflow that gives up soon, and what its errors mean to a user."""

from __future__ import annotations

import logging
import os
import re
import textwrap
from typing import Any

from adapt.errors import PrerequisiteError

PAGE = 1000  # runs an answer
SHOWN = 120  # characters of an error that is not known; ours
WITHOUT = "leave MLflow out with --no-mlflow"  # how a sweep goes on where MLflow does not answer

_STATUS = re.compile(r"error code (\d{3})")
_SYSTEM_ERROR = re.compile(r"\[(?:Errno|SSL)[^\]]*\] [^'\")(]*[^'\")( ]|timed out")


def connect(tracking_uri: str) -> Any:
    """Return an `MlflowClient` for runs and registered models of one server or database, without telemetry."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    # Its own bars go to the terminal, between the lines of the progress view.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def search_runs(client: Any, experiment_id: str, condition: str) -> list[Any]:
    """Return all runs of an experiment that a condition holds for, the newest first."""
    runs: list[Any] = []
    token = None
    while True:
        page = client.search_runs([experiment_id], condition, max_results=PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def read_status(error: Exception) -> int:
    """Return the HTTP status of an `MlflowException`: it stands in the text where the server answered with no JSON."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else int(error.get_http_status_code())  # type: ignore[attr-defined]


def explain_error(error: Exception, tracking_uri: str, otherwise: str) -> PrerequisiteError:
    """Return what a user can do about an `MlflowException`.

    Args:
        error: what was raised.
        tracking_uri: of the server or database.
        otherwise: how to go without MLflow, as the end of a sentence.
    """
    status = read_status(error)
    if status in (401, 403):
        return PrerequisiteError(
            f"the MLflow server at {tracking_uri} refuses access (HTTP {status}). Set MLFLOW_TRACKING_USERNAME and "
            f"MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, for a user who may do this, or {otherwise}."
        )
    return explain_silence(str(error), tracking_uri, otherwise)


def explain_silence(said: str, tracking_uri: str, otherwise: str) -> PrerequisiteError:
    """Return what a user can do about a server that does not answer.

    Args:
        said: the text of the error; the system's own part of it is shown where it has one.
        tracking_uri: of the server or database.
        otherwise: how to go without MLflow, as the end of a sentence.
    """
    found = _SYSTEM_ERROR.search(said)
    reason = (
        found[0] if found else textwrap.shorten(said.splitlines()[0] if said else "no word", SHOWN, placeholder=" ...")
    )
    return PrerequisiteError(
        f"the MLflow server at {tracking_uri} does not answer ({reason}). Start it (`make mlflow`), correct "
        f"MLFLOW_TRACKING_URI (or tracking_uri in segshift.yaml), or {otherwise}."
    )
