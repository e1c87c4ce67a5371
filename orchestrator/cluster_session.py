"""A session on a Ray cluster: started here on localhost, or joined by address."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adapt.errors import PrerequisiteError
from experiments.graph import Graph

OBJECT_STORE_BYTES = 100 * 2**20  # ours: only handles and scalars travel, the least that Ray accepts is 78 MB
TOKEN_HINT = "asks for a token: run `ray get-auth-token`"


@dataclass(frozen=True)
class ClusterSession:
    """What a sweep needs to know of its cluster.

    Attributes:
        dashboard_url: of the Ray dashboard, or None.
        machines: `CPU` and `GPU` counts and `GB` of memory of each machine.
    """

    dashboard_url: str | None
    machines: tuple[dict[str, float], ...]

    @property
    def cpus(self) -> float:
        """Cores of all machines."""
        return sum(machine["CPU"] for machine in self.machines)

    def check_fits(self, graph: Graph) -> None:
        """Refuse a graph with a task that this cluster can never hold: Ray would let it wait for ever.

        A task, or each of its workers, must fit one machine.

        Raises:
            PrerequisiteError: naming the stage, what it asks for and what the machines have.
        """
        wishes = {task.stage: (task.resources, task.workers) for task in graph.tasks.values()}
        for stage, (wanted, workers) in wishes.items():
            amounts = (("CPU", wanted.cpus), ("GPU", wanted.gpus), ("GB", wanted.memory_gb))
            asked = {name: amount for name, amount in amounts if amount}
            places = sum(
                int(min(machine[name] / amount for name, amount in asked.items()) + 1e-9) for machine in self.machines
            )
            if places >= workers:
                continue
            there = "; ".join(_describe(machine) for machine in self.machines) or "none"
            if workers > 1:
                raise PrerequisiteError(
                    f"stage '{stage}' asks for {workers} workers of {_describe(asked)} each, and the cluster has room for "
                    f"{places} ({there}). Lower its `training.workers` or its `resources`, or use a larger cluster "
                    "(--address)."
                )
            raise PrerequisiteError(
                f"stage '{stage}' asks for {_describe(asked)} on one machine, and no machine of the cluster has that "
                f"({there}). Lower its `resources`, use another profile, or a larger cluster (--address)."
            )


def _describe(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{amount:.3g} {name}" for name, amount in resources.items())


@contextlib.contextmanager
def open_cluster(address: str | None, dashboard: bool = True, cpus: int | None = None) -> Iterator[ClusterSession]:
    """Start Ray on localhost, or join the cluster at `address`, for the body.

    A cluster that cannot be joined says so within seconds. The dashboard binds to localhost. Ray's own ports take this
    machine's address (Ray replaces 127.0.0.1 by it on Linux); its token authentication, on by default for a local cluster,
    guards them and stays on.

    Args:
        address: `HOST:PORT` of the head of a running cluster of which this machine is one; `auto` finds the one that runs
            here; None starts one.
        dashboard: whether a local cluster shows its dashboard.
        cpus: cores of a local cluster; None takes all of this machine's.

    Raises:
        PrerequisiteError: Ray cannot be started, the address does not answer, or the cluster refuses this process.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_task_oom_retries", "2")  # Ray's own default is to retry for ever
    import ray

    from orchestrator.cluster_address import check_head, resolve

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
                **common,
            )
        else:
            head = resolve(address)
            check_head(head)
            context = ray.init(address=head, **common)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
        cause = " ".join(str(error).split())
        if address is None:
            raise PrerequisiteError(
                f"Ray could not be started on this machine: {cause}. Look at `segshift doctor`."
            ) from error
        raise PrerequisiteError(
            f"the Ray cluster at {address} answers, but this machine could not join it: {cause}. A driver runs on a machine of "
            "the cluster (`ray start --address ...` makes this one such); from elsewhere use `segshift submit`."
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminate)  # Ray's own prints a stack trace and leaves without cancelling tasks
    try:
        url = f"http://{context.dashboard_url}" if context.dashboard_url else None
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        yield ClusterSession(url, tuple(_measure(resources) for resources in alive))
    finally:
        ray.shutdown()


def _measure(resources: Mapping[str, float]) -> dict[str, float]:
    return {
        "CPU": resources.get("CPU", 0.0),
        "GPU": resources.get("GPU", 0.0),
        "GB": resources.get("memory", 0.0) / 2**30,
    }
