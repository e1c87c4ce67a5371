"""Find out in seconds whether a Ray head answers at an address, and what of it does not fit this process.

`ray.init` itself takes two minutes to give up on an address that nobody answers, and 20 s on a refused token.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapt.errors import PrerequisiteError

LIMIT_S = 10.0  # ours: longer than a slow network needs, shorter than patience
GCS_PORT, JOBS_PORT = 6379, 8265  # Ray's defaults
TOKEN_FILE = ".ray/auth_token"  # in the home folder: Ray's default
TOKEN_REMEDY = (
    "Take the token from the head (`ray get-auth-token` there) and give it as RAY_AUTH_TOKEN, as a file named by "
    "RAY_AUTH_TOKEN_PATH, or as ~/.ray/auth_token"
)


def split_address(address: str, default_port: int) -> tuple[str, int]:
    """Return host and port of `HOST`, `HOST:PORT`, `[IPV6]:PORT` or an http(s) URL.

    Raises:
        PrerequisiteError: the port is no number.
    """
    host, _, port = address.partition("://")[2].rpartition(":") if "://" in address else address.rpartition(":")
    if not host or "]" in port:
        host, port = (address.partition("://")[2] or address), str(default_port)
    port = port.rstrip("/")
    if not port.isdigit():
        raise PrerequisiteError(
            f"the address {address} is not understood: give HOST:PORT, such as head:{default_port}."
        )
    return host.strip("[]/"), int(port)


def connect(address: str, default_port: int, limit_s: float = LIMIT_S) -> None:
    """Open a connection and close it again.

    Args:
        address: where; see `split_address`.
        default_port: where the address names none.
        limit_s: how long to try.

    Raises:
        PrerequisiteError: nobody answers.
    """
    host, port = split_address(address, default_port)
    try:
        socket.create_connection((host, port), timeout=limit_s).close()
    except OSError as error:
        cause = f"no answer within {limit_s:g} s" if isinstance(error, TimeoutError) else (error.strerror or str(error))
        raise PrerequisiteError(
            f"nothing answers at {address} ({cause}). Check host and port, that the cluster runs (`ray status` on its head), "
            "and that this machine may reach it (a firewall, or an SSH tunnel that is closed); "
            "leave --address out to run on this machine."
        ) from error


def read_token(environment: Mapping[str, str] | None = None, home: Path | None = None) -> str | None:
    """Return the token that Ray would send, in its order: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token.

    Raises:
        PrerequisiteError: the file that RAY_AUTH_TOKEN_PATH names cannot be read or is empty.
    """
    environment = os.environ if environment is None else environment
    if environment.get("RAY_AUTH_TOKEN", "").strip():
        return environment["RAY_AUTH_TOKEN"].strip()
    named = environment.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else (home or Path.home()) / TOKEN_FILE
    try:
        token = file.expanduser().read_text().strip()
    except OSError as error:
        if named is None:
            return None
        raise PrerequisiteError(
            f"RAY_AUTH_TOKEN_PATH names {file}, which cannot be read ({error.strerror})."
        ) from error
    if named is not None and not token:
        raise PrerequisiteError(f"RAY_AUTH_TOKEN_PATH names {file}, which is empty. {TOKEN_REMEDY}.")
    return token or None


def send_token() -> None:
    """Have Ray send this user's token, where there is one: for a named address Ray leaves that to RAY_AUTH_MODE.

    Only for a cluster that asks for one: a process that sends it also asks for it, and refuses a cluster that has none.
    """
    if read_token() is not None:
        # it warns that tokens are in use
        logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
        from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available

        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def resolve(address: str) -> str:
    """Return `HOST:PORT` of a cluster's head; `auto` is the one that runs on this machine, or RAY_ADDRESS.

    Raises:
        PrerequisiteError: there is none, or the address is of another service of a cluster.
    """
    if address.startswith("ray://"):
        raise PrerequisiteError(
            f"{address} is Ray Client, through which a sweep would end with the first lost connection. Submit it instead, and "
            f"it runs on the cluster itself: segshift submit --address http://{split_address(address, 0)[0]}:{JOBS_PORT} ..."
        )
    if address.startswith(("http://", "https://")):
        raise PrerequisiteError(
            f"{address} is a dashboard, which takes jobs and no drivers. Run `segshift submit --address {address} ...`, "
            f"or give the head's own port (HOST:{GCS_PORT})."
        )
    if address != "auto":
        host, port = split_address(address, GCS_PORT)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        found: str = canonicalize_bootstrap_address_or_die("auto")
    except ConnectionError as error:
        several = "multiple" in str(error)
        raise PrerequisiteError(
            f"{'several Ray clusters run' if several else 'no Ray cluster runs'} on this machine. "
            + (
                "Name one by --address HOST:PORT."
                if several
                else "Start one by `ray start --head`, or leave --address out."
            )
        ) from error
    return found


def check_head(address: str, limit_s: float = LIMIT_S) -> None:
    """Make sure that a Ray head that this process can join answers at `HOST:PORT`.

    Args:
        address: of the head.
        limit_s: how long to wait, for the connection and again for the answer.

    Raises:
        PrerequisiteError: nobody answers; what answers is no Ray head, refuses the token, or runs another Ray or Python.
    """
    connect(address, GCS_PORT, limit_s)
    import grpc  # type: ignore[import-untyped]
    import ray

    try:
        try:
            version, theirs = _ask(address, limit_s)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                raise
            send_token()
            version, theirs = _ask(address, limit_s)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            raise PrerequisiteError(_explain_refusal(address)) from error
        raise PrerequisiteError(
            f"something answers at {address}, but it is no Ray head ({error.code().name.lower()}). The head's own port is "
            f"{GCS_PORT} unless it was started with --port; the dashboard's, {JOBS_PORT}, is for `segshift submit`."
        ) from error
    ours = ".".join(map(str, sys.version_info[:3]))
    if version != ray.__version__ or (theirs is not None and theirs != ours):
        raise PrerequisiteError(
            f"the cluster at {address} runs Ray {version} on Python {theirs or 'unknown'}, and this is "
            f"Ray {ray.__version__} on Python {ours}: a driver must have the cluster's. Install the same on both "
            "(constraints.txt pins Ray), or let the sweep run with what the cluster has: `segshift submit`."
        )


def _ask(address: str, limit_s: float) -> tuple[str, str | None]:
    """Return the versions of Ray and of Python that a cluster runs; the latter None where it notes none.

    Raises:
        grpc.RpcError: it does not say.
    """
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated import gcs_service_pb2 as messages
    from ray.core.generated import gcs_service_pb2_grpc as services

    deadline = time.monotonic() + limit_s
    channel: Any = init_grpc_channel(address, options=[("grpc.enable_http_proxy", 0)])
    try:
        alive = services.NodeInfoGcsServiceStub(channel).CheckAlive(messages.CheckAliveRequest(), timeout=limit_s)
        note = services.InternalKVGcsServiceStub(channel).InternalKVGet(
            messages.InternalKVGetRequest(namespace=b"cluster", key=b"CLUSTER_METADATA"),
            timeout=max(0.1, deadline - time.monotonic()),
        )
    finally:
        channel.close()
    return alive.ray_version, _read_python(note.value)


def _explain_refusal(address: str) -> str:
    if read_token() is None:
        return f"the cluster at {address} asks for a token, and there is none here. {TOKEN_REMEDY}."
    mode = os.environ.get("RAY_AUTH_MODE", "token")
    if mode.lower() != "token":
        return (
            f"the cluster at {address} asks for a token, and RAY_AUTH_MODE={mode} keeps it back. Unset RAY_AUTH_MODE."
        )
    return f"the cluster at {address} refused this user's token: it has another one. {TOKEN_REMEDY}."


def _read_python(metadata: bytes) -> str | None:
    """Return the Python version in what a head notes of its cluster, or None where it notes nothing."""
    return json.loads(metadata).get("python_version") if metadata else None
