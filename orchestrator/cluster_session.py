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
from orchestrator.capacity import Machine, read_machine

OBJECT_STORE_BYTES = 100 * 2**20  # ours: only handles and scalars travel, the least that Ray accepts is 78 MB
TOKEN_HINT = "asks for a token: run `ray get-auth-token`"


@dataclass(frozen=True)
class ClusterSession:
    """What a sweep needs to know of its cluster.

    Attributes:
        dashboard_url: of the Ray dashboard, or None.
        machines: that were there when it was opened.
    """

    dashboard_url: str | None
    machines: tuple[Machine, ...]

    @property
    def cpus(self) -> float:
        """Cores of all machines."""
        return self.resources["CPU"]

    @property
    def resources(self) -> dict[str, float]:
        """What all machines have together: `CPU`, `GPU`, `GB` of memory, custom resources."""
        names = dict.fromkeys(("CPU", *(name for machine in self.machines for name in machine.amounts)))
        return {name: sum(machine.amounts.get(name, 0.0) for machine in self.machines) for name in names}


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
    # Ray's own default is to try for ever; the driver asks for more memory instead.
    os.environ.setdefault("RAY_task_oom_retries", "0")
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
    except PrerequisiteError:
        raise
    except Exception as error:  # Ray raises plain ones too, as where its own processes start too slowly
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
        yield ClusterSession(url, list_machines())
    finally:
        ray.shutdown()


def list_machines() -> tuple[Machine, ...]:
    """Return the machines of the cluster that this process is connected to, as they are now."""
    import ray

    return tuple(read_machine(node) for node in ray.nodes() if node["Alive"])
