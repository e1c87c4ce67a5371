"""`segshift submit`: have a cluster run a sweep, watch it from here."""

from __future__ import annotations

import argparse
import datetime
import os
import re
import secrets
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from adapt.errors import PrerequisiteError, SpecError
from experiments.document import read_document
from experiments.load import find_experiment
from experiments.planning import plan_experiment
from experiments.workspace import FILE, STORE_VARIABLE, Workspace
from orchestrator.cli.options import add_command

if TYPE_CHECKING:
    from orchestrator.submission import JobEnd, JobServer

EXAMPLES = """\
  segshift submit --address http://head:8265 gta2cityscapes --data /data --store s3://bucket/store
  segshift submit --no-wait mine.yaml matrix.seed=[0,1] --profile full --store /nfs/store    through an SSH tunnel to 8265
  segshift submit --follow ID      watch it again, to its exit code
  segshift submit --stop ID        end it; what is finished is kept

What stands after the experiment is the sweep's: `segshift sweep --help`. Folders and stores are the cluster's.
"""
DEFAULT_ADDRESS = "http://127.0.0.1:8265"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "submit", "have a Ray cluster run a sweep, and follow it from here", EXAMPLES)
    _add_options(parser)
    parser.add_argument(
        "sweep", nargs=argparse.REMAINDER, metavar="EXPERIMENT ...", help="the experiment, and what `sweep` takes"
    )
    parser.set_defaults(run=run)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--address",
        metavar="URL",
        help=f"the cluster's dashboard (default: RAY_API_SERVER_ADDRESS, or {DEFAULT_ADDRESS})",
    )
    parser.add_argument(
        "--working-dir", type=Path, metavar="DIR", help="the project that travels (default: this folder)"
    )
    parser.add_argument(
        "--workspace", type=Path, metavar="FILE", help=f"travels as {FILE}: where data and store are on the cluster"
    )
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN", help="a file or folder that stays here"
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="a variable that travels too, such as 'AWS_*'; SEGSHIFT_DATA, SEGSHIFT_STORE and MLFLOW_TRACKING_URI always do",
    )
    parser.add_argument("--pip", action="store_true", help="have the cluster install what segshift needs (slow)")
    parser.add_argument("--python", metavar="FILE", help="the interpreter on the head (default: the one of its Ray)")
    parser.add_argument("--no-wait", action="store_true", help="return once the job is there")
    parser.add_argument("--follow", metavar="ID", help="follow this job")
    parser.add_argument("--stop", metavar="ID", help="stop this job")


def run(options: argparse.Namespace) -> int:
    """Submit a sweep and follow it, or follow or stop one; the exit code is the sweep's."""
    own = argparse.ArgumentParser(prog="segshift submit", allow_abbrev=False, add_help=False)
    _add_options(own)  # they may stand after the experiment too
    options, arguments = own.parse_known_args(options.sweep, options)
    address = options.address or os.environ.get("RAY_API_SERVER_ADDRESS") or DEFAULT_ADDRESS
    if options.follow or options.stop:
        if arguments:
            raise SpecError(f"--follow and --stop take a job alone: leave out {' '.join(arguments)}.")
        return _stop(address, options.stop) if options.stop else _follow(_connect(address), options.follow)
    return _submit(address, options, arguments)


def _connect(address: str) -> JobServer:
    from orchestrator.submission import JobServer

    return JobServer(address)


def _submit(address: str, options: argparse.Namespace, arguments: list[str]) -> int:
    from orchestrator.submission import build_entrypoint, build_runtime_env, choose_variables, pack

    if not arguments:
        raise SpecError("no experiment is named: segshift submit --address http://HOST:8265 EXPERIMENT ...")
    folder = (options.working_dir or Path.cwd()).expanduser().resolve()
    if not folder.is_dir():
        raise SpecError(f"--working-dir {folder} is no folder. Correct the path.")
    if options.workspace is not None and not options.workspace.is_file():
        raise SpecError(f"--workspace {options.workspace} is no file. Correct the path.")
    variables = choose_variables(options.env)
    name, travelling = check_sweep(arguments, folder, options.workspace, variables)
    server = _connect(address)
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "project.zip"
        package = pack(folder, archive, options.workspace, options.exclude)
        print(f"Packed {package.files} files ({package.size_bytes / 2**20:.1f} MB) of {folder}")
        job_id = f"{name}-{datetime.datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        server.submit(
            job_id, build_entrypoint(travelling, options.python), build_runtime_env(archive, variables, options.pip)
        )
    print(f"Job {job_id} runs on {server.address}", flush=True)
    if options.no_wait:
        _say_how_on(server, job_id)
        return 0
    return _follow(server, job_id)


def check_sweep(
    arguments: list[str], folder: Path, workspace_file: Path | None, variables: dict[str, str]
) -> tuple[str, list[str]]:
    """Find here what would fail there; whether data and weights are on the cluster is not known here.

    Args:
        arguments: of the sweep.
        folder: that travels.
        workspace_file: that travels, or None.
        variables: that travel.

    Returns:
        The experiment's name, and the arguments as they hold in the folder on the cluster.

    Raises:
        SpecError: the experiment or its overrides are not understood, or do not travel.
        PrerequisiteError: no store is named that outlives the job.
    """
    from orchestrator.cli.main import parse

    sweep = parse(["sweep", *arguments])
    if sweep.address is not None:
        raise SpecError("the job joins the cluster that it runs on: leave the sweep's --address out.")
    experiment = find_experiment(sweep.experiment)
    travelling = list(arguments)
    if sweep.experiment.endswith((".yaml", ".yml")):
        if not experiment.resolve().is_relative_to(folder):
            raise SpecError(
                f"{experiment} lies outside {folder}, and only that travels. Name a folder that holds it: --working-dir DIR."
            )
        travelling[travelling.index(sweep.experiment)] = str(experiment.resolve().relative_to(folder))
    _check_store(sweep.store, workspace_file, variables)
    plan_experiment(sweep.experiment, Workspace(), sweep.profile, sweep.overrides, gpus=None, limit=sweep.limit)
    return re.sub(r"[^A-Za-z0-9_-]", "_", experiment.stem), travelling


def _check_store(named: object, workspace_file: Path | None, variables: dict[str, str]) -> None:
    """Refuse a store in the job's own folder, which goes away with the job."""
    written = read_document(workspace_file).data.get("store") if workspace_file is not None else None
    store = named or variables.get(STORE_VARIABLE) or written
    if store is None or not re.match(r"/|[a-z][a-z0-9]+:/", str(store)):
        what = "no store is named" if store is None else f"the store {store} lies in the job's own folder"
        raise PrerequisiteError(
            f"{what}, and that is deleted with the job. Name one that every machine of the cluster sees, in full: "
            f"--store /nfs/store or --store s3://bucket/store (also {STORE_VARIABLE}, or `store:` in the file of --workspace)."
        )


def _follow(server: JobServer, job_id: str) -> int:
    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    try:
        end = server.follow(job_id, write)
    except KeyboardInterrupt:
        print(f"\nJob {job_id} goes on without this terminal.", file=sys.stderr)
        _say_how_on(server, job_id)
        return 130
    return _report(job_id, end)


def _stop(address: str, job_id: str) -> int:
    end = _connect(address).stop(job_id)
    print(f"Job {job_id} has ended: {end.message}. What is finished is kept; the same submission goes on from there.")
    return 0


def _say_how_on(server: JobServer, job_id: str) -> None:
    command = f"segshift submit --address {server.address}"
    print(f"Follow it:  {command} --follow {job_id}\nStop it:    {command} --stop {job_id}", flush=True)


def _report(job_id: str, end: JobEnd) -> int:
    print(f"Job {job_id}: {end.message}.", flush=True)
    return end.code
