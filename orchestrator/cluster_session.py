"""A session on a Ray cluster: started here on localhost, or joined by address."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from adapt.errors import PrerequisiteError
from experiments.graph import Graph

OBJECT_STORE_BYTES = 100 * 2**20  # ours: only handles and scalars travel, the least that Ray accepts is 78 MB
TOKEN_HINT = "asks for a token: run `ray get-auth-token`"


@dataclass(frozen=True)
class ClusterSession:
    """What a sweep needs to know of its cluster."""

    dashboard_url: str | None
    resources: dict[str, float]

    def check_fits(self, graph: Graph) -> None:
        """Refuse a graph with a task that no machine of this cluster can ever hold (Ray would let it wait for ever).

        Raises:
            PrerequisiteError: naming the stage, what it asks for and what there is.
        """
        for stage, wanted in {task.stage: task.resources for task in graph.tasks.values()}.items():
            memory_gb = self.resources.get("memory", 0) / 2**30
            for resource, amount, there, key in (
                ("CPU", wanted.cpus, self.resources.get("CPU", 0), "cpus"),
                ("GPU", wanted.gpus, self.resources.get("GPU", 0), "gpus"),
                ("GB of memory", wanted.memory_gb or 0, memory_gb, "memory_gb"),
            ):
                if amount > there:
                    raise PrerequisiteError(
                        f"stage '{stage}' asks for {amount:g} {resource} and the cluster has {there:.3g}. Lower "
                        f"resources.{key}, use another profile, or a larger cluster (--address)."
                    )


@contextlib.contextmanager
def open_cluster(address: str | None, dashboard: bool = True, cpus: int | None = None) -> Iterator[ClusterSession]:
    """Start Ray on localhost, or join the cluster at `address`, for the body.

    Token authentication stays on and everything binds to localhost unless the cluster says otherwise.

    Args:
        address: `HOST:PORT` or `ray://...` of a running cluster; None starts one here.
        dashboard: whether a local cluster shows its dashboard.
        cpus: cores of a local cluster; None takes all of this machine's.

    Raises:
        PrerequisiteError: Ray cannot be started, or the address does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    common = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    logging.getLogger("ray").setLevel(logging.ERROR)
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        if address is None:
            context = ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=dashboard,
                dashboard_host="127.0.0.1",
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                **common,
            )
        else:
            context = ray.init(address=address, **common)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        where = "on this machine" if address is None else f"at {address}"
        raise PrerequisiteError(
            f"Ray could not be reached {where}: {error}. Check the address (`ray status --address ...`), "
            "or leave --address out to run on this machine."
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminate)  # Ray's own prints a stack trace and leaves without cancelling tasks
    try:
        url = f"http://{context.dashboard_url}" if context.dashboard_url else None
        yield ClusterSession(url, dict(ray.cluster_resources()))
    finally:
        ray.shutdown()
