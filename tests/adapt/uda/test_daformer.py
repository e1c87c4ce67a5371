"""The training step as a whole, against a step written out by hand, and the teacher's state."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError
from adapt.openmmlab import MODELS, DefaultScope, DropPath, OptimWrapper, pseudo_collate
from adapt.openmmlab.model import build_model
from adapt.training.sample import LabelledDataset
from adapt.training.settings import AugmentSettings
from adapt.uda.daformer import DAFormer, get_loss_factor, list_heads, predict
from adapt.uda.pairs import DomainPairs, UnlabelledTarget
from adapt.uda.settings import UdaSettings

Domains = tuple[tuple[Frame, ...], tuple[Frame, ...]]

MIT: dict[str, Any] = {
    "type": "EncoderDecoder",
    "data_preprocessor": {"type": "SegDataPreProcessor", "size_divisor": 1},
    "backbone": {
        "type": "MixVisionTransformer",
        "embed_dims": 4,
        "num_layers": [1, 2, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "drop_path_rate": 0.5,
        "drop_rate": 0.3,
    },
    "decode_head": {
        "type": "SegformerHead",
        "in_channels": [4, 4, 8, 8],
        "in_index": [0, 1, 2, 3],
        "channels": 8,
        "dropout_ratio": 0.4,
        "num_classes": 11,
        "norm_cfg": {"type": "BN"},
    },
}


@pytest.fixture
def pairs(domains: Domains, source: DatasetSettings, target: DatasetSettings) -> DomainPairs:
    augmentation = AugmentSettings(crop=(48, 24))
    return DomainPairs(
        LabelledDataset(domains[0], source, augmentation, 1), UnlabelledTarget(domains[1], target, augmentation, 1)
    )


def get_batch(pairs: DomainPairs, iteration: int) -> Any:
    return pseudo_collate([pairs[2 * iteration], pairs[2 * iteration + 1]])


def make_model(config: dict[str, Any], **settings: Any) -> Any:
    model = DAFormer(build_model(config, 3), UdaSettings(**settings))
    model.init_weights()
    return model.train()


def make_optimizer(model: Any, lr: float = 0.01) -> OptimWrapper:
    return OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=lr))


def test_three_steps_equal_steps_written_by_hand(model_config: dict[str, Any], pairs: DomainPairs) -> None:
    model_config["decode_head"]["dropout_ratio"] = 0
    student: Any = build_model(model_config, 3).train()
    with torch.no_grad():
        student.decode_head.conv_seg.weight.mul_(30)  # a fresh network is sure of nothing
    model: Any = DAFormer(copy.deepcopy(student), UdaSettings(pseudo_threshold=0.3, ignore_top=2, ignore_bottom=5))
    model.train()
    wrapper = make_optimizer(model)
    teacher: Any = copy.deepcopy(student)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.01)
    mean = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
    std = torch.tensor([58.395, 57.12, 57.375])[:, None, None]

    def get_logits(network: Any, images: torch.Tensor) -> torch.Tensor:
        low = network.decode_head(network.extract_feat(images))
        return torch.nn.functional.interpolate(low, size=(24, 48), mode="bilinear", align_corners=False)

    for t in range(3):
        torch.manual_seed(100 + t)
        step = model.train_step(get_batch(pairs, t), wrapper)

        torch.manual_seed(100 + t)
        batch = get_batch(pairs, t)
        sources = torch.stack([(x.flip(0).float() - mean) / std for x in batch["source"]["inputs"]])
        targets = torch.stack([(x.flip(0).float() - mean) / std for x in batch["target"]["inputs"]])
        labels = torch.stack([sample.gt_sem_seg.data[0] for sample in batch["source"]["data_samples"]])
        with torch.no_grad():
            for old, new in zip(teacher.parameters(), student.parameters(), strict=True):
                old.copy_(new if t == 0 else t / (t + 1) * old + new / (t + 1))
        optimizer.zero_grad()
        source_loss = torch.nn.functional.cross_entropy(
            get_logits(student, sources), labels, ignore_index=255, reduction="sum"
        ) / labels.numel()  # fmt: skip
        source_loss.backward()
        with torch.no_grad():
            probability = get_logits(teacher, targets).softmax(1)
        q = (probability.amax(1) >= 0.3).sum().item() / labels.numel()
        mixed, mixed_label, mixed_weight = targets.clone(), probability.argmax(1), torch.full(labels.shape, q)
        mixed_weight[:, :2] = 0
        mixed_weight[:, 19:] = 0
        present = sorted(set(labels.flatten().tolist()))
        for n in range(2):
            order = torch.randperm(len(present)).tolist()
            drawn = {present[index] for index in order[: -(-len(present) // 2)]}
            for y in range(24):
                for x in range(48):
                    if labels[n, y, x].item() in drawn:
                        mixed[n, :, y, x] = sources[n, :, y, x]
                        mixed_label[n, y, x] = labels[n, y, x]
                        mixed_weight[n, y, x] = 1
        log_likelihood = get_logits(student, mixed).log_softmax(1)
        chosen = log_likelihood.gather(1, mixed_label.clamp(max=10)[:, None])[:, 0] * (mixed_label != 255)
        mix_loss = -(chosen * mixed_weight).sum() / labels.numel()
        mix_loss.backward()
        optimizer.step()

        assert 0 < q < 1
        assert step["q"].item() == pytest.approx(q)
        assert step["ema_alpha"].item() == pytest.approx(t / (t + 1))
        assert step["source_loss"].item() == pytest.approx(source_loss.item(), rel=1e-4)
        assert step["mix_loss"].item() == pytest.approx(mix_loss.item(), rel=1e-4)
        assert step["loss"].item() == pytest.approx(source_loss.item() + mix_loss.item(), rel=1e-4)
    for ours, by_hand in ((model.student, student), (model.teacher, teacher)):
        for (name, a), b in zip(ours.state_dict().items(), by_hand.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5, msg=name)


def test_teacher_is_the_average_of_the_students(model_config: dict[str, Any], pairs: DomainPairs) -> None:
    model = make_model(model_config)
    wrapper = make_optimizer(model)
    students = []
    for t in range(4):
        students.append([parameter.detach().clone() for parameter in model.student.parameters()])
        model.train_step(get_batch(pairs, t), wrapper)

    # With alpha = 1 - 1/(t+1) the teacher of step t is the plain mean of the students that steps 0 to t began with.
    for index, parameter in enumerate(model.teacher.parameters()):
        torch.testing.assert_close(parameter, sum(student[index] for student in students) / 4)
    assert not torch.equal(students[0][0], students[3][0])
    assert model.iteration.item() == 4
    assert model.iteration.dtype == torch.int64


def test_teacher_has_no_gradient_and_buffers_of_its_own(model_config: dict[str, Any], pairs: DomainPairs) -> None:
    model = make_model(model_config)
    wrapper = make_optimizer(model)
    for t in range(2):
        model.train_step(get_batch(pairs, t), wrapper)

    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.teacher.parameters())
    assert all(parameter.grad is not None for parameter in model.student.parameters())
    counts = {name: buffer.item() for name, buffer in model.named_buffers() if name.endswith("num_batches_tracked")}
    # The student's batch norms saw source and mix in each step, the teacher's the target.
    assert {count for name, count in counts.items() if name.startswith("student")} == {4}
    assert {count for name, count in counts.items() if name.startswith("teacher")} == {2}
    means = [
        (buffer, model.get_buffer(name.replace("teacher", "student")))
        for name, buffer in model.named_buffers()
        if name.startswith("teacher") and name.endswith("running_mean")
    ]
    assert means
    assert not any(torch.equal(a, b) for a, b in means)


def test_teacher_trains_batch_norm_but_drops_nothing() -> None:
    model = make_model(MIT)
    dropping = (torch.nn.modules.dropout._DropoutNd, DropPath)
    images = torch.randn(2, 3, 64, 64)

    drops = [module for module in model.teacher.modules() if isinstance(module, dropping)]
    first, second, *noisy = (
        predict(network, images, [network.decode_head])[0]
        for network in (model.teacher, model.teacher, model.student, model.student)
    )

    assert any(isinstance(module, DropPath) and module.drop_prob > 0 for module in drops)
    assert not any(module.training for module in drops)
    assert all(module.training for module in model.student.modules())
    norms = [module for module in model.teacher.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert all(module.training for module in norms)
    assert torch.equal(first, second)
    assert not torch.equal(*noisy)


def test_auxiliary_heads_learn_from_the_mix(model_config: dict[str, Any], pairs: DomainPairs) -> None:
    loss = {"type": "CrossEntropyLoss", "loss_weight": 0.4}
    model_config["auxiliary_head"] = {**model_config["decode_head"], "loss_decode": loss}
    model = make_model(model_config)

    heads = list_heads(model.student)
    logits = predict(model.student, torch.randn(2, 3, 24, 48), heads)

    assert [get_loss_factor(head) for head in heads] == [1.0, 0.4]
    assert [tuple(one.shape) for one in logits] == [(2, 11, 24, 48)] * 2
    model.train_step(get_batch(pairs, 0), make_optimizer(model))
    assert model.student.auxiliary_head.conv_seg.weight.grad.abs().sum() > 0


def test_head_without_one_map_of_logits_is_refused(model_config: dict[str, Any]) -> None:
    model = make_model(model_config)
    model.student.decode_head.forward = lambda features: (features[2], features[2])

    with pytest.raises(SpecError, match="FCNHead does not give one map of logits"):
        predict(model.student, torch.randn(2, 3, 24, 48), [model.student.decode_head])


def test_plain_config_builds_it(model_config: dict[str, Any]) -> None:
    config = copy.deepcopy(model_config)
    for key in ("num_channels", "num_blocks", "dilations", "reductions"):
        config["backbone"][key] = tuple(config["backbone"][key])

    with DefaultScope.overwrite_default_scope("mmseg"):
        model = MODELS.build({"type": "DAFormer", "student": config, "settings": {"ema_alpha": 0.9}})
    model.init_weights()

    assert model.settings.ema_alpha == 0.9
    assert all(torch.equal(a, b) for a, b in zip(model.student.parameters(), model.teacher.parameters(), strict=True))
    assert model(torch.randn(1, 3, 24, 48), mode="tensor").shape[1] == 11
