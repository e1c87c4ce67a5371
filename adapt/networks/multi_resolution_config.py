"""From the config of a network to that of the same network on two resolutions; imports no mmsegmentation."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from adapt.errors import SpecError
from adapt.uda.settings import MultiResolutionSettings


def wrap_multi_resolution(config: Mapping[str, Any], settings: MultiResolutionSettings) -> dict[str, Any]:
    """Turn the config of a plain network into that of `MultiResolution` around its backbone and decode head.

    Args:
        config: An `EncoderDecoder`, as `resolve_config` returns it; not changed.
        settings: The crops and the attention.

    Returns:
        JSON-able data for `build_model`.

    Raises:
        SpecError: The network is no `EncoderDecoder`, or has auxiliary heads.
    """
    if config.get("type") != "EncoderDecoder":
        raise SpecError(
            f"Two resolutions need a network of type EncoderDecoder, not {config.get('type')!r}. Name another config, "
            "such as daformer_mit-b5, or leave `multi_resolution` out."
        )
    refuse_auxiliary_heads(config.get("auxiliary_head"))
    plain = copy.deepcopy(dict(config))
    # Slides are the network's own part, so mmsegmentation's are turned off.
    return {
        **plain,
        "type": "MultiResolution",
        "test_cfg": {"mode": "whole"},
        "multi_resolution": settings.model_dump(mode="json"),
    }


def refuse_auxiliary_heads(auxiliary_head: object) -> None:
    """Raise SpecError if there is an auxiliary head: which resolution it would learn from is defined nowhere."""
    if auxiliary_head:
        raise SpecError(
            "A network with auxiliary heads cannot be trained on two resolutions. Add the model override "
            "`auxiliary_head: null`, or leave `multi_resolution` out."
        )
