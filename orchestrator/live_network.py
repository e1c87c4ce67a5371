"""The network of `segshift adapt`: a config with weights, a trained network's folder, or a task of the store."""

from __future__ import annotations

from pathlib import Path

from adapt.errors import SpecError
from adapt.openmmlab.checkpoint import MODEL_FILE, WEIGHTS_FILE
from adapt.tta.live.network import LiveNetwork, load_trained, load_with_weights
from experiments.workspace import StorePlace, load_workspace
from orchestrator.store import open_store


def load_network(
    model: str | None, weights: str | None, checkpoint: Path | None, task: str | None, store: StorePlace | None
) -> LiveNetwork:
    """Load the network that the command line names by one of `model`, `checkpoint` and `task`.

    Args:
        model: the name or path of a config.
        weights: the file of its weights; also looked for in the workspace's folder.
        checkpoint: the folder of a trained network.
        task: the first digits of the key of a task that trained one.
        store: where that task's results are; None takes the workspace's.

    Returns:
        The network, in eval mode on the CPU.

    Raises:
        SpecError: if the options do not fit together.
        PrerequisiteError: if the network is not there, or damaged.
    """
    if model is None and weights is not None:
        raise SpecError("--weights belongs to --model; the network of --checkpoint or --task has its own.")
    if task is None and store is not None:
        raise SpecError("--store belongs to --task; the network of --checkpoint or --model is in no store. Remove it.")
    if checkpoint is not None:
        return load_trained(checkpoint)
    workspace = load_workspace(store=store)
    if task is not None:
        return load_trained(find_task(workspace.store, task))
    if model is None:
        raise SpecError("No network is named. Give --model, --checkpoint or --task.")
    if weights is None:
        raise SpecError(f"--model {model} is a network without weights, which sees nothing. Give them: --weights FILE.")
    file = Path(weights).expanduser()
    return load_with_weights(model, file if file.is_file() else workspace.find_weights(str(file)))


def find_task(place: StorePlace, digits: str) -> Path:
    """Find the folder of a finished task that left a network.

    Args:
        place: of the store.
        digits: the first ones of its key.

    Returns:
        The folder; its files are as they were recorded.

    Raises:
        SpecError: if no task, or several, have such a key.
        TaskError: if a file was damaged.
    """
    store = open_store(place)
    keys = [key for key in store.list_done() if key.startswith(digits)]
    if len(keys) != 1:
        raise SpecError(
            f"{len(keys)} finished tasks in the store {place} have a key that starts with '{digits}'. `segshift status "
            "EXPERIMENT` lists them; give more digits, or another --store."
        )
    if WEIGHTS_FILE not in store.read(keys[0]).files:
        raise SpecError(
            f"The task {keys[0]} is of kind '{store.read(keys[0]).kind}' and left no network. Name one that trains."
        )
    for name in (MODEL_FILE, WEIGHTS_FILE):
        store.verified_file(keys[0], name)
    return store.folder(keys[0])
