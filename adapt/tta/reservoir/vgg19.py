"""The first layers of VGG19, in which the published ReservoirTTA reads the style of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adapt.errors import PrerequisiteError
from adapt.openmmlab.checkpoint import load_checkpoint

# Place in torchvision's `vgg19().features` -> channels in and out; between 2 and 5 there is a max pooling.
_CONVOLUTIONS = {"0": (3, 64), "2": (64, 64), "5": (64, 128), "7": (128, 128)}


# ImageNet's colours, RGB, by which torchvision's weights were trained: (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225)
# of colours in [0, 1], here times 255.
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)


class Vgg19Start(nn.Module):
    """`features[:8]` of VGG19 (Simonyan and Zisserman, ICLR 2015); its keys are those of torchvision's state dict.

    Attributes:
        data_preprocessor: how its input is normalised, as `adapt.inference.renormalise` reads it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict(
            {place: nn.Conv2d(*channels, kernel_size=3, padding=1) for place, channels in _CONVOLUTIONS.items()}
        )
        self.data_preprocessor = SimpleNamespace(
            channel_conversion=True,
            _enable_normalize=True,
            mean=torch.tensor(_MEAN).view(3, 1, 1),
            std=torch.tensor(_STD).view(3, 1, 1),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs of the convolutions 2, 5 and 7, before their ReLU.

        Args:
            images: (B, 3, H, W) RGB, normalised by ImageNet's colours.

        Returns:
            (B, 64, H, W), (B, 128, H // 2, W // 2) and (B, 128, H // 2, W // 2).
        """
        layers = self.features
        second = layers["2"](F.relu(layers["0"](images)))
        fifth = layers["5"](F.max_pool2d(F.relu(second), kernel_size=2, stride=2))
        seventh = layers["7"](F.relu(fifth))
        return second, fifth, seventh


def load_vgg19_start(path: Path) -> Vgg19Start:
    """Build the first layers of VGG19 with the weights of a file, frozen, in eval mode, on the CPU.

    Args:
        path: a state dict of torchvision's `vgg19`; what it holds beyond the first layers is left out.

    Returns:
        The network.

    Raises:
        PrerequisiteError: if the file is missing, damaged or of another network.
    """
    network = Vgg19Start()
    checkpoint = load_checkpoint(path)
    found: Mapping[str, Any] = checkpoint.get("state_dict", checkpoint)
    expected = network.state_dict()
    wrong = [key for key, value in expected.items() if getattr(found.get(key), "shape", None) != value.shape]
    if wrong:
        raise PrerequisiteError(
            f"The weights in {path} are not those of torchvision's VGG19: missing or of another shape are "
            f"{', '.join(wrong)}. Give a state dict of torchvision.models.vgg19 (`weights` of the style extractor), or "
            "use the extractor `early`, which needs none."
        )
    network.load_state_dict({key: torch.as_tensor(found[key]) for key in expected})
    return network.eval().requires_grad_(False)
