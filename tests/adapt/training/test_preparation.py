"""What training changes about a network, and that it is plain again afterwards."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from adapt.training.preparation import find_backbones, prepare_network
from adapt.training.settings import TrainSettings

CPU = torch.device("cpu")


class Segmentor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.decode_head = nn.Conv2d(4, 2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.decode_head(self.backbone(images))


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.student = Segmentor()
        self.teacher = copy.deepcopy(self.student)
        self.teacher.backbone.backbone = nn.Identity()
        self.data_preprocessor = nn.Identity()


def test_every_backbone_is_found_once() -> None:
    model = Pair()

    assert find_backbones(model) == [model.student.backbone, model.teacher.backbone]


def test_backbones_are_compiled_in_place_and_for_the_time_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []

    def compile_slowly(function: Any, **options: Any) -> Any:
        calls.append(options)

        def run(*arguments: Any) -> Any:
            calls.append({"ran": True})
            return function(*arguments)

        return run

    monkeypatch.setattr(torch, "compile", compile_slowly)
    model = Pair()
    names, images = list(model.state_dict()), torch.zeros(1, 3, 8, 8)
    with prepare_network(model, TrainSettings(compile=True), CPU):
        assert calls == [{"dynamic": False}] * 2
        assert list(model.state_dict()) == names
        model.student(images)
        assert calls[2:] == [{"ran": True}]
    model.student(images)
    assert len(calls) == 3

    with prepare_network(model, TrainSettings(), CPU):
        model.student(images)
    assert len(calls) == 3


def test_channels_last_holds_inside() -> None:
    model = Pair()
    weight = model.student.backbone[0].weight
    values = weight.detach().clone()
    with prepare_network(model, TrainSettings(channels_last=True), CPU):
        assert model.student.backbone[0].weight is weight
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert model.student(torch.zeros(2, 3, 8, 8)).is_contiguous(memory_format=torch.channels_last)
    assert model.student.backbone[0].weight is weight
    assert weight.is_contiguous()
    assert torch.equal(weight, values)


def test_the_network_is_plain_after_an_error_too() -> None:
    model = Pair()
    with pytest.raises(KeyError), prepare_network(model, TrainSettings(channels_last=True), CPU):
        raise KeyError
    assert model.student.backbone[0].weight.is_contiguous()
