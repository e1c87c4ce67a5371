"""Have a cluster run a sweep as a Ray job: pack the project, submit it, follow its output to its exit code."""

from __future__ import annotations

import asyncio
import fnmatch
import http.client
import importlib.metadata
import logging
import os
import re
import shlex
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapt.errors import PrerequisiteError, SpecError
from experiments.workspace import DATA_VARIABLE, FILE, STORE_VARIABLE
from orchestrator.cluster_address import (
    JOBS_PORT,
    LIMIT_S,
    TOKEN_REMEDY,
    connect,
    read_token,
    send_token,
    split_address,
)

PACKAGE_LIMIT_BYTES = 100 * 2**20  # ours: the head holds a package in memory; Ray itself refuses 500 MiB
LEFT_OUT = ("__pycache__", "node_modules", "mlruns", "build", "*.egg-info", "*.pyc", "segshift-store")
PASSED_VARIABLES = (DATA_VARIABLE, STORE_VARIABLE, "MLFLOW_TRACKING_URI")
STOP_GRACE_S = 120  # ours: a spot machine's notice; Ray's own 3 s would cut off MLflow's last batch
LOG_COLUMNS = 120  # ours: there is no terminal to ask
POLL_S = 1.0
RECONNECT_S = 60.0  # ours: as long as an SSH tunnel takes to come back

# The job server runs a shell whose PATH is that of `ray start`, which need not have been inside the environment that
# Ray is installed in. Its parent has Ray's library mapped from there, and there is the interpreter.
FIND_PYTHON = (
    r"python=$(sed -n 's|^[^/]*\(/.*\)/lib[^/]*/python[^/]*/[a-z]*-packages/ray/_raylet\.so$|\1/bin/python|p' "
    '/proc/$PPID/maps | head -n 1); [ -x "$python" ] || python=python3'
)


@dataclass(frozen=True)
class Package:
    """What was packed: how many files of how many bytes, before compression."""

    files: int
    size_bytes: int


@dataclass(frozen=True)
class JobEnd:
    """How a job ended: the exit code of its sweep (1 where it never ran, 130 where it was stopped), and why."""

    code: int
    message: str


def pack(folder: Path, target: Path, workspace_file: Path | None = None, exclude: Sequence[str] = ()) -> Package:
    """Write the files of a folder that a sweep may need into a zip file; equal files make equal bytes.

    Args:
        folder: the project: what git would keep of it, or all of it where it is no checkout, without caches, stores,
            virtual environments and hidden folders.
        target: the zip file.
        workspace_file: travels as the `segshift.yaml`; this machine's own does not, the places it names are not the cluster's.
        exclude: further patterns, each of a file, a folder or a path.

    Raises:
        PrerequisiteError: there is nothing to pack, or it is too large.
    """
    names = list_files(folder, exclude)
    size_bytes = sum((folder / name).stat().st_size for name in names)
    if size_bytes > PACKAGE_LIMIT_BYTES:
        raise PrerequisiteError(_explain_size(folder, names, size_bytes))
    entries = [(name, folder / name) for name in names if name != FILE]
    if workspace_file is not None:
        entries.append((FILE, workspace_file))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in sorted(entries):
            archive.writestr(zipfile.ZipInfo(name), file.read_bytes(), zipfile.ZIP_DEFLATED)
        if not entries:  # Ray does not take an empty one
            archive.writestr(zipfile.ZipInfo(".empty"), b"")
    return Package(len(entries), size_bytes)


def list_files(folder: Path, exclude: Sequence[str] = ()) -> list[str]:
    """Return the files of a folder that `pack` takes, relative to it, sorted."""
    patterns = (*LEFT_OUT, *exclude)
    names = _list_kept_by_git(folder)
    if names is None:
        names = list(_walk(folder, patterns))
    return sorted(name for name in names if not _is_left_out(name, patterns) and (folder / name).is_file())


def _list_kept_by_git(folder: Path) -> list[str] | None:
    command = ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):  # no git here, or no checkout
        return None
    return [name for name in listed.split("\0") if name]


def _walk(folder: Path, patterns: Sequence[str]) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        relative = Path(root).relative_to(folder)
        folders[:] = [
            name
            for name in folders
            if not _is_left_out(str(relative / name), patterns) and not (Path(root) / name / "pyvenv.cfg").is_file()
        ]
        yield from (str(relative / name) for name in files)


def _is_left_out(name: str, patterns: Sequence[str]) -> bool:
    """Say whether a file, or a folder that it lies in, is hidden or matches a pattern by its name or its path."""
    parts = Path(name).parts
    candidates = [*parts, *("/".join(parts[: depth + 1]) for depth in range(len(parts)))]
    return any(part.startswith(".") for part in parts) or any(
        fnmatch.fnmatchcase(candidate, pattern.rstrip("/")) for candidate in candidates for pattern in patterns
    )


def _explain_size(folder: Path, names: Sequence[str], size_bytes: int) -> str:
    sizes: Counter[str] = Counter()
    for name in names:
        sizes[Path(name).parts[0]] += (folder / name).stat().st_size
    largest = ", ".join(f"{name} ({size / 2**20:.0f} MB)" for name, size in sizes.most_common(3))
    return (
        f"{folder} holds {size_bytes / 2**20:.0f} MB to send, and {PACKAGE_LIMIT_BYTES / 2**20:.0f} are taken; the "
        f"largest: {largest}. Leave out what the sweep does not need (--exclude NAME), or name a smaller folder "
        "(--working-dir); data and weights belong on a disk or in a bucket that the cluster sees."
    )


def build_entrypoint(arguments: Sequence[str], python: str | None = None) -> str:
    """Return the shell command of a job that sweeps on the cluster it runs on.

    Args:
        arguments: the command line of the sweep: experiment, overrides, options.
        python: the interpreter on the head; None finds the one that Ray runs in.
    """
    command = ["-m", "orchestrator.cli.main", "sweep", *arguments, "--address", "auto", "--no-servers"]
    if python is not None:
        return f"exec {shlex.join([python, *command])}"
    return f'{FIND_PYTHON}; exec "$python" {shlex.join(command)}'


def build_runtime_env(package: Path, variables: Mapping[str, str], pip: bool = False) -> dict[str, Any]:
    """Return the runtime environment of a job.

    Args:
        package: from `pack`.
        variables: environment variables of the sweep and its tasks.
        pip: whether the cluster installs what segshift needs; otherwise it has that already.
    """
    own = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_GRACE_S), "COLUMNS": str(LOG_COLUMNS)}
    environment: dict[str, Any] = {"working_dir": str(package), "env_vars": {**own, **variables}}
    if pip:
        environment["pip"] = list_requirements()
    return environment


def list_requirements() -> list[str]:
    """Return what segshift needs, each at the version that is installed here; Ray is the cluster's own."""
    pinned = []
    for line in importlib.metadata.requires("segshift") or ():
        name = re.split(r"[\[<>=!~; ]", line)[0]
        if name != "ray" and "extra ==" not in line:
            pinned.append(f"{name}=={importlib.metadata.version(name).partition('+')[0]}")
    return sorted(set(pinned))


def choose_variables(wanted: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that travel with a job: segshift's own where they are set, and those that are asked for.

    Args:
        wanted: each `NAME=VALUE`, or a `NAME` or pattern (`AWS_*`) whose values are taken from here.
        environment: this process's.

    Raises:
        SpecError: a variable that was asked for is not set.
    """
    environment = os.environ if environment is None else environment
    chosen = {name: environment[name] for name in PASSED_VARIABLES if environment.get(name)}
    for text in wanted:
        name, equals, value = text.partition("=")
        if equals:
            chosen[name] = value
            continue
        found = fnmatch.filter(environment, name)
        if not found:
            raise SpecError(f"--env {name}: no such variable is set here. Set it, or give --env {name}=VALUE.")
        chosen |= {match: environment[match] for match in found}
    return chosen


class JobServer:
    """The job server of a cluster, at the address of its dashboard."""

    def __init__(self, address: str, limit_s: float = LIMIT_S) -> None:
        """Connect.

        Args:
            address: `http://HOST:PORT`, or `HOST:PORT`.
            limit_s: how long to wait for an answer.

        Raises:
            PrerequisiteError: nobody answers, what answers is no Ray dashboard, or the token is refused.
        """
        self.address = address.rstrip("/") if "://" in address else f"http://{address.rstrip('/')}"
        if not self.address.startswith(("http://", "https://")):
            host = split_address(self.address, 0)[0]
            raise PrerequisiteError(
                f"{address} takes no jobs: give the address of the cluster's dashboard, such as http://{host}:{JOBS_PORT}."
            )
        connect(self.address, 443 if self.address.startswith("https") else 80, limit_s)
        send_token()
        token = read_token()
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._check_answer(limit_s)
        from ray.job_submission import JobSubmissionClient

        for name in ("dashboard_sdk", "job.sdk"):  # they tell of every upload and every closed connection
            logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.WARNING)
        # Ray lets either variable win over the address that it is given.
        held = {name: os.environ.pop(name, None) for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")}
        try:
            self._client: Any = JobSubmissionClient(self.address, headers=dict(self._headers))
        finally:
            os.environ.update({name: value for name, value in held.items() if value is not None})

    def _check_answer(self, limit_s: float) -> None:
        request = urllib.request.Request(f"{self.address}/api/version", headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=limit_s) as answer:
                is_ray = b"ray_version" in answer.read()
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                what = "refuses this user's token" if self._headers else "asks for a token, and there is none here"
                raise PrerequisiteError(f"the cluster at {self.address} {what}. {TOKEN_REMEDY}.") from error
            is_ray = False
        except (OSError, ValueError, http.client.HTTPException):
            is_ray = False
        if not is_ray:
            raise PrerequisiteError(
                f"something answers at {self.address}, but it is no Ray dashboard. Its port is {JOBS_PORT} unless the head was "
                "started with --dashboard-port; through an SSH tunnel it is the tunnel's."
            )

    def submit(self, job_id: str, entrypoint: str, runtime_env: Mapping[str, Any]) -> None:
        """Upload the package and start the job; the sweep itself asks for no CPU.

        Raises:
            PrerequisiteError: the cluster does not take the job.
        """
        try:
            self._client.submit_job(
                entrypoint=entrypoint, submission_id=job_id, runtime_env=dict(runtime_env), entrypoint_num_cpus=0
            )
        except RuntimeError as error:
            raise PrerequisiteError(
                f"the cluster at {self.address} does not take the job: {_flatten(error)}"
            ) from error

    def follow(self, job_id: str, write: Callable[[str], None]) -> JobEnd:
        """Hand on what a job prints, from its beginning to its end, also through lost connections; return how it ended.

        Raises:
            PrerequisiteError: there is no such job, or the connection does not come back.
        """
        output, lost_at = _Output(write), None
        while True:
            shown = output.count
            try:
                self._describe(job_id)
                asyncio.run(self._tail(job_id, output.restart()))
                end = self._find_end(job_id)
                if end is not None:
                    return end
                lost_at = None
            except (OSError, _aiohttp_error(), _ConnectionLostError) as error:
                if lost_at is None or output.count > shown:  # the connection was back in between
                    lost_at = time.monotonic()
                if time.monotonic() - lost_at > RECONNECT_S:
                    raise PrerequisiteError(
                        f"the connection to {self.address} is lost ({_flatten(error)}). The job goes on: follow it by "
                        f"`segshift submit --address {self.address} --follow {job_id}`."
                    ) from error
            time.sleep(POLL_S)

    async def _tail(self, job_id: str, hand_on: Callable[[str], None]) -> None:
        try:
            async for text in self._client.tail_job_logs(job_id):
                hand_on(text)
        except RuntimeError as error:  # Ray's, where the connection closes before the job ends
            raise _ConnectionLostError(str(error)) from error

    def stop(self, job_id: str) -> JobEnd:
        """Have a job end as by Ctrl-C and wait until it has.

        Raises:
            PrerequisiteError: there is no such job.
        """
        self._describe(job_id)
        self._client.stop_job(job_id)
        while (end := self._find_end(job_id)) is None:
            time.sleep(POLL_S)
        return end

    def _describe(self, job_id: str) -> Any:
        try:
            return self._client.get_job_info(job_id)
        except RuntimeError as error:
            raise PrerequisiteError(
                f"the cluster at {self.address} knows of no job '{job_id}': it forgets them when it is started anew. "
                f"`ray job list --address {self.address}` lists those there are."
            ) from error

    def _find_end(self, job_id: str) -> JobEnd | None:
        job = self._describe(job_id)
        if not job.status.is_terminal():
            return None
        if job.status.value == "STOPPED":
            return JobEnd(130, "it was stopped")
        code = job.driver_exit_code
        if code is None:  # the command never ran
            return JobEnd(0 if job.status.value == "SUCCEEDED" else 1, _flatten(job.message or ""))
        return JobEnd(code if code >= 0 else 128 - code, f"exit code {code}")


class _Output:
    """Hands on a text that is told from its beginning again after each lost connection, each part once."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self.count = 0  # of characters that were handed on
        self._skip = 0

    def restart(self) -> Callable[[str], None]:
        """Expect the text from its beginning; return what takes it."""
        self._skip = self.count
        return self._take

    def _take(self, text: str) -> None:
        fresh = text[self._skip :]
        self._skip = max(0, self._skip - len(text))
        if fresh:
            self.count += len(fresh)
            self._write(fresh)


class _ConnectionLostError(Exception):
    """The stream of a job's output broke off."""


def _aiohttp_error() -> type[Exception]:
    import aiohttp

    return aiohttp.ClientError


def _flatten(text: object) -> str:
    return " ".join(str(text).split())
