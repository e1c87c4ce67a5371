"""Exchange and return of batch norms; what they compute with two workers is in `test_distributed.py`."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.training.batch_norm import JointBatchNorm, synchronise_batch_norm


def build() -> nn.Sequential:
    norm = nn.BatchNorm2d(2, eps=0.1, momentum=0.4)
    return nn.Sequential(norm, nn.ModuleDict({"again": norm, "bare": nn.BatchNorm1d(3, affine=False)}), nn.LayerNorm(2))


@pytest.mark.parametrize(("device", "expected"), [("cpu", JointBatchNorm), ("cuda", nn.SyncBatchNorm)])
def test_norms_are_exchanged_for_a_while_and_share_their_state(device: str, expected: type[nn.Module]) -> None:
    model = build()
    model[1]["bare"].eval()
    plain, names = (model[0], model[1]["bare"]), list(model.state_dict())
    with synchronise_batch_norm(model, torch.device(device)):
        joint = model[0]
        assert type(joint) is type(model[1]["bare"]) is expected
        assert model[1]["again"] is joint
        assert (joint.eps, joint.momentum, joint.training, model[1]["bare"].training) == (0.1, 0.4, True, False)
        assert joint.weight is plain[0].weight
        assert joint.running_var is plain[0].running_var
        assert model[1]["bare"].weight is None
        assert list(model.state_dict()) == names
        joint.running_mean = torch.tensor([5.0, 6.0])  # as moving the model would
        model.eval()
    assert (model[0], model[1]["again"], model[1]["bare"]) == (plain[0], plain[0], plain[1])
    assert plain[0].running_mean.tolist() == [5.0, 6.0]
    assert not plain[0].training
    assert list(model.state_dict()) == names


def test_they_return_after_an_error() -> None:
    model = build()
    plain = model[0]
    with pytest.raises(KeyError), synchronise_batch_norm(model, torch.device("cpu")):
        raise KeyError
    assert model[0] is plain


def test_in_eval_mode_nothing_is_exchanged() -> None:
    model = nn.Sequential(nn.BatchNorm2d(2))
    model[0].running_mean.fill_(3.0)
    images = torch.randn(2, 2, 3, 3)
    expected = model.eval()(images)
    with synchronise_batch_norm(model, torch.device("cpu")):  # no process group: an exchange would fail
        assert torch.equal(model(images), expected)
