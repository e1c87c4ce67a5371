"""RDumb: its base bit for bit, started anew every n frames, over every kind of base; exact states and resets."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.catalog import build_method
from adapt.tta.method import NotFiniteError
from adapt.tta.settings import BnEmaSettings, CottaSettings, EataSettings, EtaSettings, RdumbSettings, TentSettings

BASES = {
    "bn_ema": BnEmaSettings(momentum=0.3),
    "tent": TentSettings(lr=1e-2),
    "eta": EtaSettings(lr=1e-2, margin=0.8, diversity=0.95, unit="pixel"),
    "cotta": CottaSettings(lr=1e-2, ema=0.9, restore=0.1, scales=(1.0,), flip=False),
}


@pytest.mark.parametrize("base", BASES)
def test_is_its_base_started_anew_every_n_frames(toy_net, inputs, base):
    method = build_method(RdumbSettings(base=BASES[base], n=3), toy_net(), nn.Module.__call__, 5)
    restarted = []
    for frame in range(7):
        if frame % 3 == 0:
            alone = build_method(BASES[base], toy_net(), nn.Module.__call__, 5)
        one, two = (either.predict_and_adapt(inputs[frame % 3]) for either in (method, alone))
        assert torch.equal(one.logits, two.logits)
        assert (one.loss, one.updates, one.skipped) == (two.loss, two.updates, two.skipped)
        restarted.append(one.notes["restarted"])
        assert one.notes == {**two.notes, "restarted": restarted[-1]}
    assert restarted == [0, 0, 0, 1, 0, 0, 1]


@pytest.mark.parametrize("base", BASES)
def test_a_state_in_the_middle_comes_back_and_a_reset_repeats_the_run(toy_net, inputs, base):
    net = toy_net()
    start = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(RdumbSettings(base=BASES[base], n=3), net, nn.Module.__call__, 5)

    def run(frames: range) -> list[torch.Tensor]:
        return [method.predict_and_adapt(inputs[frame % 3]).logits for frame in frames]

    head = run(range(2))
    middle = method.save()
    tail = run(range(2, 5))  # frame 3 restarts the base
    method.load(middle)
    assert all(torch.equal(one, two) for one, two in zip(run(range(2, 5)), tail, strict=True))
    method.reset()
    assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(one, two) for one, two in zip(run(range(5)), head + tail, strict=True))


def test_speaks_for_its_base(toy_net, inputs):
    method = build_method(RdumbSettings(base=BASES["eta"], n=2), toy_net(), nn.Module.__call__, 5)
    base = method.base
    assert (method.batch_norm, method.unit) == ("batch", "pixel")
    assert list(method.collect_parameters()) == list(base.collect_parameters()) == ["1.weight", "1.bias"]
    assert list(method.collect_tensors()) == ["1.weight", "1.bias"]
    assert torch.equal(method.predict(inputs[0]), base.predict(inputs[0]))
    assert method.is_finite()
    with torch.no_grad():
        base.model[1].bias[0] = float("nan")
    assert not method.is_finite()


def test_its_own_constants_are_the_default():
    assert RdumbSettings() == RdumbSettings(base=EtaSettings(), n=50)


def test_a_frame_that_is_not_finite_changes_nothing_and_is_not_counted(toy_net, inputs):
    net = toy_net()
    method = build_method(RdumbSettings(base=BASES["tent"], n=2), net, nn.Module.__call__, 5)
    method.predict_and_adapt(inputs[0])
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(NotFiniteError):
        method.predict_and_adapt(inputs[1] * float("nan"))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert method.predict_and_adapt(inputs[1]).notes["restarted"] == 0.0
    assert method.predict_and_adapt(inputs[1]).notes["restarted"] == 1.0


def test_refuses_what_its_base_refuses(toy_net):
    with pytest.raises(SpecError, match="Conv2d has none"):
        build_method(RdumbSettings(), nn.Conv2d(3, 5, 1), nn.Module.__call__, 5)
    with pytest.raises(SpecError, match="eata"):
        build_method(RdumbSettings(base=EataSettings()), toy_net(), nn.Module.__call__, 5)
