"""The cluster of a simulation: nodes by type, with their price and how often they fail."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from adapt.errors import SpecError
from adapt.settings import Settings
from experiments.document import read_document
from experiments.explain import closest, validate
from orchestrator.capacity import Machine

EXAMPLES = Path(__file__).parent / "clusters"


class NodeSettings(Settings):
    """So many nodes of one type.

    Attributes:
        count: how many.
        cpus, gpus, memory_gb, custom: what each offers to tasks.
        labels: of each, as tasks select them.
        price_per_hour: of one node, in whatever currency; it is paid from the start of its boot to the end of the sweep,
            whether anything runs on it or not, but not while it is lost.
        spot: whether the provider may take it away.
        mean_hours_between_failures: of one node; times between failures are exponential. None never fails.
        warning_seconds: how long before it is lost a node is told: tasks that can resume save a resume point then.
        restart_minutes: from the loss of a node until another is there in its place.
        start_minutes: from the start of the sweep until the node is there.
    """

    count: int = Field(gt=0)
    cpus: float = Field(gt=0)
    gpus: int = Field(0, ge=0)
    memory_gb: float = Field(gt=0)
    custom: dict[str, Annotated[float, Field(gt=0)]] = {}
    labels: dict[str, str] = {}
    price_per_hour: float = Field(0.0, ge=0)
    spot: bool = False
    mean_hours_between_failures: float | None = Field(None, gt=0)
    warning_seconds: float = Field(0.0, ge=0)
    restart_minutes: float = Field(10.0, ge=0)
    start_minutes: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _check_spot(self) -> Self:
        """A spot node that is never taken away would be free money."""
        if self.spot and self.mean_hours_between_failures is None:
            raise ValueError(
                "a node with `spot: true` needs `mean_hours_between_failures`: how long one is kept on average"
            )
        return self

    def offer(self) -> Machine:
        """Return what one of these nodes offers to tasks."""
        named = {"CPU": self.cpus, "GPU": float(self.gpus), "GB": self.memory_gb, **self.custom}
        return Machine({name: amount for name, amount in named.items() if amount}, self.labels)


class OverheadSettings(Settings):
    """What segshift and Ray add to tasks. The defaults are what `tools/bench_schedule.py` measures on 2 slow cores.

    Attributes:
        task_seconds: from a place becoming free to the first step of the next task on it, and its commit: 26 ms.
        submit_per_second: how many tasks the driver hands to Ray and settles in a second: 127; null is as many as there are.
        notice_seconds: from the loss of a node until its tasks may start elsewhere: 15.8 s with Ray's defaults.
    """

    task_seconds: float = Field(0.03, ge=0)
    submit_per_second: float | None = Field(100.0, gt=0)
    notice_seconds: float = Field(16.0, ge=0)


NO_OVERHEAD = OverheadSettings(task_seconds=0, submit_per_second=None, notice_seconds=0)


class ClusterSettings(Settings):
    """A described cluster.

    Attributes:
        title: one line on what it is.
        nodes: type -> nodes; work goes to the first node with room, in this order.
        currency: of the prices.
        overheads: what segshift and Ray add.
    """

    title: str = ""
    nodes: Annotated[dict[str, NodeSettings], Field(min_length=1)]
    currency: str = "USD"
    overheads: OverheadSettings = OverheadSettings()

    def multiplied(self, factor: int) -> ClusterSettings:
        """Return a cluster with so many times the nodes of each type."""
        nodes = {name: node.model_copy(update={"count": node.count * factor}) for name, node in self.nodes.items()}
        return self.model_copy(update={"nodes": nodes})

    def list_nodes(self) -> list[tuple[str, NodeSettings]]:
        """List every node with its type, in the order in which they are filled."""
        return [(name, node) for name, node in self.nodes.items() for _ in range(node.count)]

    def count(self, resource: str) -> float:
        """Return how much of `CPU`, `GPU`, `GB` or a custom resource all nodes offer together."""
        return sum(node.count * node.offer().amounts.get(resource, 0.0) for node in self.nodes.values())

    def describe(self) -> str:
        """Say what it consists of: `8 x h100 (96 CPU, 8 GPU, 1000 GB)`."""
        parts = []
        for name, node in self.nodes.items():
            offered = ", ".join(f"{amount:g} {what}" for what, amount in node.offer().amounts.items())
            parts.append(f"{node.count} x {name} ({offered}{', spot' if node.spot else ''})")
        return "; ".join(parts)


def list_examples() -> dict[str, Path]:
    """Return the clusters that are shipped: name -> file."""
    return {file.stem: file for file in sorted(EXAMPLES.glob("*.yaml"))}


def load_cluster(name: str) -> ClusterSettings:
    """Read the description of a cluster.

    Args:
        name: path of a YAML file, or name of a shipped example.

    Raises:
        SpecError: there is no such file, or it is not understood.
    """
    examples = list_examples()
    file = examples.get(name, Path(name))
    if not file.is_file():
        raise SpecError(
            f"--cluster {name}: there is no such file, and no example of that name.{closest(name, examples)} "
            f"Give the path of a YAML file, or one of the examples: {', '.join(examples)}."
        )
    document = read_document(file)
    cluster: ClusterSettings = validate(ClusterSettings, document.data, document)
    return cluster
