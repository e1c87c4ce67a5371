"""Where MLflow keeps a store's runs, and a server that shows them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from adapt.errors import PrerequisiteError
from orchestrator.mlflow_connection import WITHOUT, explain_silence
from orchestrator.store import Store

HOST = "127.0.0.1"
PORT = 5000
HEALTH_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 10.0
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def default_uri(store: Store) -> str:
    """Return the sqlite address of a store's own MLflow data."""
    return f"sqlite:///{_folder(store) / 'mlflow.db'}"


def artifact_root(store: Store) -> str:
    """Return where a store's own MLflow data keeps artifacts."""
    return (_folder(store) / "artifacts").as_uri()


def _folder(store: Store) -> Path:
    return store.root / "mlflow"


def ready_tracking(uri: str, store: Store, otherwise: str = WITHOUT) -> None:
    """Make sure that MLflow can be written to, before a sweep starts.

    A sqlite file is made and brought up to date by one process alone: concurrent first use corrupts it.

    Args:
        uri: of a server, or of the store's own sqlite file.
        store: whose runs are written.
        otherwise: what to do where MLflow cannot be had, as the end of a sentence.

    Raises:
        PrerequisiteError: a server does not answer, or the database cannot be made.
    """
    if uri.startswith(("http://", "https://")):
        _check_health(uri, otherwise)
    elif uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        _folder(store).mkdir(parents=True, exist_ok=True)
        draft = f"{uri}.draft-{os.getpid()}"
        done = subprocess.run(
            [sys.executable, "-m", "mlflow", "db", "upgrade", draft], capture_output=True, text=True, env=_environment()
        )
        if done.returncode != 0:
            tail = done.stderr.strip().splitlines()[-1:] or ["no output"]
            raise PrerequisiteError(
                f"MLflow could not make its database {uri}: {tail[0]}. Take another store, or {otherwise}."
            )
        Path(draft.removeprefix("sqlite:///")).replace(uri.removeprefix("sqlite:///"))


def _check_health(uri: str, otherwise: str) -> None:
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=HEALTH_TIMEOUT_S):
            return
    except urllib.error.HTTPError:
        return  # it answers; whether it lets us write is said by the first run
    except (urllib.error.URLError, OSError) as error:
        raise explain_silence(str(getattr(error, "reason", error)), uri, otherwise) from error


def server_command(store: Store, port: int) -> list[str]:
    """Return the command of a server that shows a store's runs on localhost."""
    return [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", default_uri(store),
        "--artifacts-destination", artifact_root(store), "--host", HOST, "--port", str(port), "--workers", "1",
    ]  # fmt: skip


def serve(store: Store, port: int) -> int:
    """Run a server in the foreground until it is stopped; return its exit code."""
    ready_tracking(default_uri(store), store)
    with _started_server(store, port, None) as process:
        return process.wait()


@contextlib.contextmanager
def background_server(store: Store) -> Iterator[str]:
    """Show a store's runs for the body; yields the address of its page. The server ends with the body, or with this process."""
    port = find_free_port(PORT)
    with (store.root / "mlflow" / "server.log").open("w") as output, _started_server(store, port, output):
        yield f"http://{HOST}:{port}/#/experiments"


@contextlib.contextmanager
def _started_server(store: Store, port: int, output: IO[str] | None) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server for the body, and end it with all its children: Ctrl-C and SIGTERM reach this process alone."""
    process = subprocess.Popen(
        server_command(store, port),
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        env=_environment(),
        preexec_fn=_end_with_parent,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _end_with_parent() -> None:
    """Have the kernel stop this child when its parent dies, by kill -9 too; a group of its own keeps Ctrl-C from it."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def find_free_port(preferred: int) -> int:
    """Return `preferred`, or the next port that nothing listens on."""
    for port in range(preferred, preferred + 50):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) != 0:
                return port
    raise PrerequisiteError(f"ports {preferred} to {preferred + 49} are all taken on this machine. Free one.")


def _environment() -> dict[str, str]:
    return {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
