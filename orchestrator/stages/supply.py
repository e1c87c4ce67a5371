"""What a method is given beside the network: the outputs of other stages, as the method takes them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adapt.errors import PrerequisiteError
from adapt.inference import forward_logits, renormalise
from adapt.openmmlab.checkpoint import load_artifact, load_checkpoint
from adapt.tta.reservoir.source_styles import load_source_styles
from adapt.tta.supplies import Forward, Supplies
from orchestrator.stages.fisher import FISHER_FILE
from orchestrator.stages.stage import StageContext
from orchestrator.stages.styles import EXTRACTOR_FILE, STYLES_FILE


def load_supplies(
    context: StageContext, seed: int, model: nn.Module, classes: tuple[str, ...], device: torch.device
) -> Supplies:
    """Load what a stream's method is given.

    Args:
        context: of the task; its inputs are what was asked for.
        seed: of the method's own draws.
        model: the network that is adapted, on its device, with its source weights.
        classes: what it predicts.
        device: where the auxiliary network goes.

    Raises:
        PrerequisiteError: a file is damaged, or the auxiliary network predicts other classes.
    """
    inputs = context.inputs
    auxiliary, styles, fisher = None, None, None
    if "auxiliary" in inputs:
        auxiliary, predicted = load_artifact(inputs["auxiliary"])
        if predicted != classes:
            raise PrerequisiteError(
                f"The auxiliary network of {inputs['auxiliary']} predicts {', '.join(predicted)}, but the one that is adapted "
                f"predicts {', '.join(classes)}. Train it on data with the same classes."
            )
        auxiliary = auxiliary.to(device).eval()
    if "styles" in inputs:
        extractor = inputs["styles"] / EXTRACTOR_FILE
        weights = extractor if extractor.is_file() else None
        styles = load_source_styles(inputs["styles"] / STYLES_FILE, model, forward_logits, weights)
    if "fisher" in inputs:
        fisher = load_checkpoint(inputs["fisher"] / FISHER_FILE)
    return Supplies(seed=seed, auxiliary=auxiliary, styles=styles, fisher=fisher)


def build_forward(model: nn.Module, auxiliary: nn.Module | None) -> Forward:
    """Return what runs a network on images as the adapted model takes them; the auxiliary one sees its own colours."""
    if auxiliary is None:
        return forward_logits

    def forward(network: nn.Module, images: Tensor) -> Tensor:
        return forward_logits(network, renormalise(images, model, network) if network is auxiliary else images)

    return forward
