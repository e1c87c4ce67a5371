"""`make bench`: what test-time adaptation costs per frame, each method beside plain inference, interleaved in one run.

python tools/bench_tta.py      on the CPU: CGNet, frames of 480x360, one thread; seconds are those of the processor
python tools/bench_tta.py gpu  on a GPU: MiT-B5 (SegFormer's backbone) with DAFormer's head, frames of 960x540
"""

from __future__ import annotations

import copy
import math
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adapt import runtime
from adapt.inference import forward_logits, renormalise, to_tensor
from adapt.model import ModelSettings
from adapt.openmmlab.model import build_model, resolve_config
from adapt.tta.catalog import build_method
from adapt.tta.method import Method
from adapt.tta.operations import count_operations
from adapt.tta.reservoir.settings import StyleExtractorSettings
from adapt.tta.reservoir.style import build_extractor
from adapt.tta.settings import (
    AuxAdaptSettings,
    BnAlphaSettings,
    BnStatsSettings,
    CottaSettings,
    EtaSettings,
    MethodSettings,
    ReservoirSettings,
    SarSettings,
    SourceSettings,
    TentSettings,
)
from adapt.tta.supplies import SourceStyles, Supplies

CLASSES = 11
ALL = {
    "margin": 10.0,
    "diversity": 1.01,
}  # random weights are sure of nothing: a filter would keep nothing and save the step
METHODS: dict[str, tuple[MethodSettings, str]] = {
    "source": (SourceSettings(), ""),
    "bn_stats": (BnStatsSettings(), "target 1.1"),
    "bn_alpha": (BnAlphaSettings(), ""),
    "tent": (TentSettings(), "target 3.3"),
    "eta": (EtaSettings(**ALL), ""),
    "sar": (SarSettings(margin=10.0, reset_below=0.0), ""),
    "auxadapt": (
        AuxAdaptSettings(),
        "target 1.5",
    ),  # its network sees frames so small that it is a tenth of the main one
    "reservoir(tent)": (ReservoirSettings(base=TentSettings(), models=2), "target 1.35 x tent"),
    "cotta": (CottaSettings(), ""),
}
FRAMES = {"cpu": (360, 480), "gpu": (540, 960)}
NETWORKS = {"cpu": ("cgnet_camvid", "cgnet_small"), "gpu": ("daformer_mit-b5", "daformer_mit-b0")}
REPEATS = 15
COTTA_REPEATS = 3  # 14 views a frame
AUXILIARY_SHARE = 0.1  # of the main network's operations


def make_frames(size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Go on making frames of blocks and noise, by turns of high and of low contrast: two domains for the reservoir."""
    generator = np.random.default_rng(0)
    height, width = size
    while True:
        blocks = generator.integers(0, 256, (height // 20, width // 20, 3))
        frame = np.kron(blocks, np.ones((20, 20, 1))) + generator.normal(0, 8, (height, width, 3))
        yield frame.clip(0, 255).astype(np.uint8)
        yield (0.1 * frame + 110).clip(0, 255).astype(np.uint8)


def build(name: str, device: torch.device) -> nn.Module:
    """Build a network with random weights."""
    return build_model(resolve_config(ModelSettings(config=name), CLASSES), seed=0).to(device).eval()


def prepare(settings: MethodSettings, main: nn.Module, small: nn.Module, frame: np.ndarray) -> Method[Any]:
    """Build a method on copies of the networks, with all that any of them needs."""
    model, auxiliary = copy.deepcopy(main), copy.deepcopy(small)

    def forward(network: nn.Module, images: Tensor) -> Tensor:
        return forward_logits(network, renormalise(images, model, network) if network is auxiliary else images)

    extract = build_extractor(StyleExtractorSettings(), model, forward_logits, None)
    styles = SourceStyles(extract, extract(to_tensor(model, frame)), threshold=1.0)
    return build_method(settings, model, forward, CLASSES, Supplies(auxiliary=auxiliary, styles=styles))


def time_frame(method: Method[Any], images: Tensor) -> tuple[float, float]:
    """Return the seconds of one frame, and those of looking for what is not finite and copying the state after it."""
    clock = time.perf_counter if images.is_cuda else time.process_time  # what else the machine does is no matter
    times = [clock()]
    for work in (lambda: method.predict_and_adapt(images), lambda: method.is_finite() and method.save()):
        work()
        if images.is_cuda:
            torch.cuda.synchronize()
        times.append(clock())
    return times[1] - times[0], times[2] - times[1]


def count_flops(network: nn.Module, images: Tensor) -> float:
    """Count the floating point operations of a forward pass."""
    with count_operations() as counter, torch.no_grad():
        forward_logits(network, images)
    return float(counter.get_total_flops())


def main() -> None:
    """Time every method by turns on the same frames, and print its ratio to plain inference frame by frame."""
    place = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    device = runtime.configure(1, 0, 1.0 if place == "gpu" else 0.0)
    network, small = (build(name, device) for name in NETWORKS[place])
    frames = make_frames(FRAMES[place])
    first = next(frames)
    images = to_tensor(network, first)
    share = count_flops(small, images) / count_flops(network, images)
    scale = min(1.0, math.sqrt(AUXILIARY_SHARE / share))
    fitted = {name: settings for name, (settings, _) in METHODS.items()} | {
        "auxadapt": AuxAdaptSettings(aux_scale=scale)
    }
    methods = {name: prepare(settings, network, small, first) for name, settings in fitted.items()}
    for method in methods.values():  # one of each domain: everything is compiled, allocated and founded
        method.predict_and_adapt(to_tensor(network, next(frames)))
        method.predict_and_adapt(to_tensor(network, next(frames)))
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    guarding: dict[str, list[float]] = {name: [] for name in methods}
    for repeat in range(REPEATS):
        images = to_tensor(network, next(frames))
        for name, method in methods.items():
            if name != "cotta" or repeat < COTTA_REPEATS:
                adapting, guarded = time_frame(method, images)
                seconds[name].append(adapting)
                guarding[name].append(guarded)
    width_height = "x".join(map(str, reversed(FRAMES[place])))
    print(
        f"{NETWORKS[place][0]}, {width_height}, batch size 1; the auxiliary network: {share:.2f} of its operations, at "
        f"{scale:.2f} of the frame's size {scale**2 * share:.2f}; 'guard': keeping the last good state, beside the frame"
    )
    for name, (_, target) in METHODS.items():
        base = seconds["tent" if name.startswith("reservoir") else "source"]
        ratios = [one / other for one, other in zip(seconds[name], base, strict=False)]
        spread = f"[{min(ratios):.2f} .. {max(ratios):.2f}, n={len(ratios)}]"
        middle, guard = (1000 * statistics.median(times[name]) for times in (seconds, guarding))
        ratio = f"ratio {statistics.median(ratios):6.2f} {spread:<26}"
        print(f"{name:<16} {middle:9.1f} ms   {ratio} guard {guard:5.1f} ms   {target}".rstrip())


if __name__ == "__main__":
    main()
