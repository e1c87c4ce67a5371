"""The corruptions in an albumentations pipeline: `CommonCorruption("fog", 3)`, called with the image's id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from albumentations import ImageOnlyTransform
from albumentations.core.transforms_interface import BaseTransformInitSchema
from numpy.typing import NDArray

from corruptions.apply import corrupt
from corruptions.protocol import BackendName, ChannelOrder
from corruptions.seeding import derive_seed
from corruptions.selection import select_cell


class CommonCorruption(ImageOnlyTransform):
    """Corrupt an RGB image under the seed of its id: the same pixels in any order, epoch, worker or process.

    `Compose([CommonCorruption("fog", 3)])(image=image, image_id="frankfurt_000000_000294")` gives the pixels of the
    benchmark. Albumentations' own random state decides only whether an image is corrupted at all, where `p` is below 1.
    It stands first in a pipeline: protocols corrupt before any resize. A batch `images` has one id, and so one seed.
    """

    class InitSchema(BaseTransformInitSchema):
        """Types of the arguments, as albumentations checks them."""

        name: str
        severity: int
        seed: int
        backend: Literal["fast", "reference"] | None
        protocol: str | dict[str, Any] | None
        channel_order: Literal["RGB", "BGR"] | None

    def __init__(
        self,
        name: str,
        severity: int,
        seed: int = 0,
        backend: BackendName | None = None,
        protocol: str | Mapping[str, Any] | None = None,
        channel_order: ChannelOrder | None = None,
        p: float = 1.0,
    ) -> None:
        """Read the settings.

        Args:
            name: One of `corruptions.CORRUPTIONS` or `corruptions.WEATHER`.
            severity: 1 to 5.
            seed: The experiment's seed.
            backend: Implementation of the 19. None: the protocol's, or `fast` without one.
            protocol: A protocol which has this cell, and whose backend and channel order are taken: its name, the path of a
                YAML file, or the mapping of such a file.
            channel_order: Order of the channels that the operation sees; the image is RGB in any case. None: the protocol's,
                or RGB without one.
            p: Probability with which an image is corrupted.

        Raises:
            CorruptionError: A name or the severity is not known, or the protocol is not as it should be, has no such cell,
                another backend or channel order, or corrupts after a resize.
            ValueError: An argument has another type.
        """
        super().__init__(p=p)
        self.name = name
        self.severity = severity
        self.backend = backend
        self.protocol = protocol
        self.channel_order = channel_order
        self._experiment_seed = seed  # `seed` is albumentations': a Compose sets it
        self._cell = select_cell(name, severity, protocol, backend, channel_order)

    @property
    def targets_as_params(self) -> list[str]:
        """What a call needs beside the image."""
        return ["image_id"]

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Derive the image's seed.

        Args:
            params: Albumentations' own, unused.
            data: The call's arguments; `image_id` is a name inside the data set, never an absolute path.

        Returns:
            `corruption_seed` and `origin`, which a ReplayCompose repeats.
        """
        image = str(data["image_id"])
        seed = derive_seed(self._experiment_seed, image, self.name, self.severity)
        return {"corruption_seed": seed, "origin": image}

    def apply(self, img: NDArray[Any], corruption_seed: int, origin: str, **params: Any) -> NDArray[np.uint8]:
        """Corrupt one image.

        Args:
            img: (H, W, 3) uint8 RGB, or what `corruptions.corrupt` takes as such.
            corruption_seed: The image's seed.
            origin: What an error calls the image.
            **params: Albumentations' own, unused.

        Returns:
            (H, W, 3) uint8 RGB.

        Raises:
            CorruptionError: If it is no such image.
        """
        cell = self._cell
        return corrupt(
            img,
            self.name,
            self.severity,
            corruption_seed,
            backend=cell.backend,
            channel_order=cell.channel_order,
            origin=origin,
        )

    def get_transform_init_args(self) -> dict[str, Any]:
        """Return the arguments, by which albumentations writes and reads pipelines."""
        return {
            "name": self.name,
            "severity": self.severity,
            "seed": self._experiment_seed,
            "backend": self.backend,
            "protocol": self.protocol,
            "channel_order": self.channel_order,
            "p": self.p,
        }
