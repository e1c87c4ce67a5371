"""Named sets of (corruption, severity) cells, each with all that makes its numbers comparable.

Numbers of two protocols never share a ranking: the sets differ, and so do the severities over which they average.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from corruptions.catalog import CORRUPTIONS, SEVERITIES
from corruptions.errors import CorruptionError, unknown_name

Cell = tuple[str, int]

# backend -> the installed distribution that determines its pixels
DISTRIBUTIONS: Mapping[str, str] = MappingProxyType({"reference": "imagecorruptions-imaug"})


@dataclass(frozen=True)
class Protocol:
    """What was done to the images of a robustness score.

    Attributes:
        name: Name by which experiments and rankings refer to it.
        cells: Every (corruption, severity) that a complete row has a score for, corruption by corruption.
        backend: Implementation of the corruptions, a key of `corruptions.apply.BACKENDS`.
        channel_order: Order of the channels that the operations see. Published codes often feed BGR, which changes
            frost, snow, spatter and jpeg_compression.
        insertion_point: When the image is corrupted: decoded and not yet resized.
    """

    name: str
    cells: tuple[Cell, ...]
    backend: Literal["reference"] = "reference"
    channel_order: Literal["RGB"] = "RGB"
    insertion_point: Literal["before_resize"] = "before_resize"

    @property
    def version(self) -> str:
        """Name and version of the distribution behind the backend, such as "imagecorruptions-imaug 1.1.5".

        Raises:
            CorruptionError: If the distribution is not installed.
        """
        distribution = DISTRIBUTIONS[self.backend]
        try:
            return f"{distribution} {importlib.metadata.version(distribution)}"
        except importlib.metadata.PackageNotFoundError as error:
            raise CorruptionError(
                f"protocol {self.name!r} needs the package {distribution}, which is not installed: "
                f"run `pip install {distribution}`"
            ) from error


def _grid(names: Iterable[str], severities: Iterable[int]) -> tuple[Cell, ...]:
    levels = tuple(severities)
    return tuple((name, severity) for name in names for severity in levels)


_COMMON = tuple(CORRUPTIONS)[:15]

_ROWS = (
    # Michaelis et al. 2019 (arXiv:1907.07484): the 15 common corruptions at all severities.
    Protocol("michaelis", _grid(_COMMON, SEVERITIES)),
    # Kamann & Rother, CVPR 2020 (arXiv:1908.05005), as used by SegFormer (NeurIPS 2021), Table 5: 16 corruptions in the
    # order of that table, the noises at severities 1-3 only.
    Protocol(
        "segformer",
        _grid(("motion_blur", "defocus_blur", "glass_blur", "gaussian_blur"), SEVERITIES)
        + _grid(("gaussian_noise", "impulse_noise", "shot_noise", "speckle_noise"), (1, 2, 3))
        + _grid(("brightness", "contrast", "saturate", "jpeg_compression"), SEVERITIES)
        + _grid(("snow", "spatter", "fog", "frost"), SEVERITIES),
    ),
    # FAN (Zhou et al., ICML 2022, arXiv:2204.12451): all 19 at severities 1-3.
    Protocol("fan", _grid(CORRUPTIONS, (1, 2, 3))),
    # SemSegBench (arXiv:2505.18015): the 15 common at severity 3.
    Protocol("semsegbench", _grid(_COMMON, (3,))),
    # Ours, chosen to take minutes on a CPU: a corruption or two of each family at a severity where adaptation shows.
    Protocol(
        "quick",
        (
            ("gaussian_noise", 1),
            ("brightness", 3),
            ("contrast", 3),
            ("frost", 2),
            ("jpeg_compression", 3),
            ("defocus_blur", 3),
        ),
    ),
)

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({row.name: row for row in _ROWS})


def protocol(name: str) -> Protocol:
    """Look a protocol up by name.

    Args:
        name: One of the keys of `PROTOCOLS`.

    Returns:
        The protocol.

    Raises:
        CorruptionError: If no protocol has that name; the text suggests the closest.

    Example:
        >>> len(protocol("segformer").cells)
        72
    """
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
