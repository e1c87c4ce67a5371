"""Named sets of (corruption, severity) cells, each with all that makes its numbers comparable.

Numbers of two protocols never share a ranking: the sets differ, and so do the severities over which they average.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from corruptions.catalog import CORRUPTIONS, SEVERITIES, WEATHER, corruption
from corruptions.errors import CorruptionError, unknown_name
from corruptions.fast import VERSION as FAST_VERSION
from corruptions.weather import VERSION as WEATHER_VERSION

Cell = tuple[str, int]
BackendName = Literal["fast", "reference"]
ChannelOrder = Literal["RGB", "BGR"]
InsertionPoint = Literal["before_resize", "after_resize"]

CHOICES: tuple[BackendName, ...] = ("fast", "reference")  # the backends that implement the 19
DEFAULT_BACKEND: BackendName = "fast"

# backend -> the installed distributions that determine its pixels. Of `reference`: pillow encodes JPEG and pixelates, scipy
# zooms and bends, scikit-image smooths, turns colours and draws impulses, OpenCV does what it does in `fast`. Of `fast`, beside
# its own VERSION: OpenCV resizes frost, encodes JPEG and shapes spatter, imagecorruptions-imaug holds the photographs of frost.
DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "reference": ("imagecorruptions-imaug", "opencv-python-headless", "pillow", "scikit-image", "scipy"),
        "fast": ("imagecorruptions-imaug", "opencv-python-headless"),
        "albumentations": ("albumentations", "albucore", "opencv-python-headless"),
    }
)

# backend -> what its version opens with, where the pixels are also decided by code of ours
_OURS = {"fast": f"segshift-corruptions {FAST_VERSION}", "albumentations": f"segshift-weather {WEATHER_VERSION}"}


@dataclass(frozen=True)
class Protocol:
    """What was done to the images of a robustness score.

    Attributes:
        name: Name by which experiments and rankings refer to it.
        cells: Every (corruption, severity) that a complete row has a score for, corruption by corruption.
        backend: Implementation of the 19, one of `CHOICES`. `fast` equals `reference` at every pixel in 16 of them, and
            within 1 grey level in defocus_blur, zoom_blur and contrast. Weather is always that of its own backend.
        channel_order: Order of the channels that the operations see. Published codes often feed BGR, which changes
            frost, snow, spatter, jpeg_compression, the four noises (their draws go to other channels) and, of weather,
            night, sun flare and snow; brightness and saturate by 1 grey level here and there; the others not at all. Images
            are RGB before and after in either case.
        insertion_point: When the image is corrupted: as it was decoded, or at the size that the network sees.
    """

    name: str
    cells: tuple[Cell, ...]
    backend: BackendName = DEFAULT_BACKEND
    channel_order: ChannelOrder = "RGB"
    insertion_point: InsertionPoint = "before_resize"

    def with_backend(self, backend: str) -> Protocol:
        """Return the same protocol with another implementation of the 19.

        Args:
            backend: One of `CHOICES`.

        Returns:
            A protocol of the same name and cells.

        Raises:
            CorruptionError: If there is no such backend.

        Example:
            >>> protocol("quick").with_backend("reference").backends
            ('reference',)
        """
        if backend not in CHOICES:
            raise unknown_name("corruption backend", str(backend), CHOICES)
        return replace(self, backend=backend)

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends that its cells need, the chosen one of the 19 first."""
        needed = {corruption(name).backend or self.backend for name, _ in self.cells}
        return tuple(sorted(needed, key=lambda name: (name != self.backend, name)))

    @property
    def version(self) -> str:
        """Names and versions of what determines the pixels, backend by backend.

        Such as "imagecorruptions-imaug 1.1.5, opencv-python-headless 5.0.0.93, ...", or "segshift-corruptions 1
        (imagecorruptions-imaug 1.1.5, opencv-python-headless 5.0.0.93)"; those of two backends are joined by "; ".

        Raises:
            CorruptionError: If a distribution is not installed.
        """
        return "; ".join(self._describe(backend) for backend in self.backends)

    def _describe(self, backend: str) -> str:
        installed = ", ".join(f"{name} {self._find_version(name)}" for name in DISTRIBUTIONS[backend])
        return f"{_OURS[backend]} ({installed})" if backend in _OURS else installed

    def _find_version(self, distribution: str) -> str:
        try:
            return importlib.metadata.version(distribution)
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
    # Ours: the six operations of weather at all severities.
    Protocol("weather", _grid(WEATHER, SEVERITIES)),
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
