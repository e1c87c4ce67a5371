"""The training step as a whole, against a step written out by hand, and the teacher's state."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError
from adapt.networks.multi_resolution_config import wrap_multi_resolution
from adapt.openmmlab import MODELS, DefaultScope, DropPath, pseudo_collate
from adapt.openmmlab.model import build_model
from adapt.training.predictions import get_loss_factor, list_heads, predict_labels_from, run_network
from adapt.training.preparation import find_backbones
from adapt.training.sample import LabelledDataset
from adapt.training.settings import AugmentSettings, Precision
from adapt.training.step import StepWrapper
from adapt.uda.draws import draw_step
from adapt.uda.pairs import DomainPairs, UnlabelledTarget
from adapt.uda.self_training import SelfTraining
from adapt.uda.settings import DaformerSettings, MultiResolutionSettings
from adapt.uda.strong_augment import augment_strongly

Domains = tuple[tuple[Frame, ...], tuple[Frame, ...]]

SEED = 4

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


def make_settings(**changes: Any) -> DaformerSettings:
    return DaformerSettings(**{"rare_class": None, "feature_distance": None, **changes})


def make_model(config: dict[str, Any], **changes: Any) -> Any:
    model = SelfTraining(build_model(config, 3), make_settings(**changes), seed=SEED)
    model.init_weights()
    return model.train()


def make_optimizer(model: Any, lr: float = 0.01) -> StepWrapper:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=lr)
    return StepWrapper(optimizer)


def test_three_steps_equal_steps_written_by_hand(model_config: dict[str, Any], pairs: DomainPairs) -> None:
    model_config["decode_head"]["dropout_ratio"] = 0
    student: Any = build_model(model_config, 3).train()
    with torch.no_grad():
        student.decode_head.conv_seg.weight.mul_(30)  # a fresh network is sure of nothing
    things = (1, 4, 7, 9, 10)
    settings = make_settings(
        pseudo_threshold=0.3,
        ignore_top=2,
        ignore_bottom=5,
        feature_distance={"weight": 0.1, "classes": things, "reference": "start"},
        masked_consistency={"block": 8, "weight": 0.5},
    )
    model: Any = SelfTraining(copy.deepcopy(student), settings, seed=SEED)
    model.train()
    wrapper = make_optimizer(model)
    teacher: Any = copy.deepcopy(student)
    reference: Any = copy.deepcopy(student.backbone)
    reference.eval()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.01)
    mean = torch.tensor([123.675, 116.28, 103.53])
    std = torch.tensor([58.395, 57.12, 57.375])

    def get_logits(network: Any, images: torch.Tensor) -> torch.Tensor:
        low = network.decode_head(network.extract_feat(images))
        return torch.nn.functional.interpolate(low, size=(24, 48), mode="bilinear", align_corners=False)

    def get_pseudo_loss(images: torch.Tensor, label: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        log_likelihood = get_logits(student, images).log_softmax(1)
        chosen = log_likelihood.gather(1, label.clamp(max=10)[:, None])[:, 0] * (label != 255)
        return -(chosen * weight).sum() / label.numel()

    counted = 0
    for t in range(3):
        step = model.train_step(get_batch(pairs, t), wrapper)

        draws = draw_step(settings, SEED, t, torch.zeros(2, 24, 48), student)
        batch = get_batch(pairs, t)
        shape = (3, 1, 1)
        sources = torch.stack(
            [(x.flip(0).float() - mean.view(shape)) / std.view(shape) for x in batch["source"]["inputs"]]
        )
        targets = torch.stack(
            [(x.flip(0).float() - mean.view(shape)) / std.view(shape) for x in batch["target"]["inputs"]]
        )
        labels = torch.stack([sample.gt_sem_seg.data[0] for sample in batch["source"]["data_samples"]])
        with torch.no_grad():
            for old, new in zip(teacher.parameters(), student.parameters(), strict=True):
                old.copy_(new if t == 0 else t / (t + 1) * old + new / (t + 1))
        optimizer.zero_grad()
        features = student.backbone(sources)
        source_logits = torch.nn.functional.interpolate(
            student.decode_head(features), size=(24, 48), mode="bilinear", align_corners=False
        )
        source_loss = torch.nn.functional.cross_entropy(
            source_logits, labels, ignore_index=255, reduction="sum"
        ) / labels.numel()  # fmt: skip
        source_loss.backward(retain_graph=True)
        difference = features[-1] - reference(sources)[-1].detach()
        distances = []
        for n in range(2):
            for y in range(3):
                for x in range(6):
                    cell = labels[n, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8].flatten().tolist()
                    most = max(set(cell), key=cell.count)
                    if most in things and cell.count(most) >= 48:
                        distances.append(difference[n, :, y, x].norm())
        distance = 0.1 * torch.stack(distances).mean()
        counted += len(distances)
        distance.backward()
        with torch.no_grad():
            probability = get_logits(teacher, targets).softmax(1)
        q = (probability.amax(1) >= 0.3).sum().item() / labels.numel()
        pseudo_label, pseudo_weight = probability.argmax(1), torch.full(labels.shape, q)
        pseudo_weight[:, :2] = 0
        pseudo_weight[:, 19:] = 0
        mixed, mixed_label, mixed_weight = targets.clone(), pseudo_label.clone(), pseudo_weight.clone()
        present = set(labels.flatten().tolist())
        for n in range(2):
            order = [index for index in draws.class_orders[n].tolist() if index in present]
            drawn = order[: -(-len(present) // 2)]
            for y in range(24):
                for x in range(48):
                    if labels[n, y, x].item() in drawn:
                        mixed[n, :, y, x] = sources[n, :, y, x]
                        mixed_label[n, y, x] = labels[n, y, x]
                        mixed_weight[n, y, x] = 1
        assert draws.strong is not None
        assert draws.masked_strong is not None
        assert draws.keep is not None
        mix_loss = get_pseudo_loss(augment_strongly(mixed, draws.strong, mean, std), mixed_label, mixed_weight)
        mix_loss.backward()
        masked = augment_strongly(targets, draws.masked_strong, mean, std) * draws.keep.repeat_interleave(
            8, 2
        ).repeat_interleave(8, 3)
        masked_loss = 0.5 * get_pseudo_loss(masked, pseudo_label, pseudo_weight)
        masked_loss.backward()
        optimizer.step()

        assert 0 < q < 1
        assert step["q"].item() == pytest.approx(q)
        assert step["ema_alpha"].item() == pytest.approx(t / (t + 1))
        assert step["source_loss"].item() == pytest.approx(source_loss.item(), rel=1e-4)
        assert step["feature_distance_loss"].item() == pytest.approx(distance.item(), rel=1e-3, abs=1e-6)
        assert step["feature_distance_share"].item() == pytest.approx(len(distances) / 36)
        assert step["feature_distance_empty"].item() == (not distances)
        assert step["mix_loss"].item() == pytest.approx(mix_loss.item(), rel=1e-4)
        assert step["masked_loss"].item() == pytest.approx(masked_loss.item(), rel=1e-4)
        total = source_loss.item() + distance.item() + mix_loss.item() + masked_loss.item()
        assert step["loss"].item() == pytest.approx(total, rel=1e-4)
        assert set(step) == set(model.metrics)
    assert counted > 3
    for ours, by_hand in ((model.student, student), (model.teacher, teacher)):
        for (name, a), b in zip(ours.state_dict().items(), by_hand.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5, msg=name)


def test_multi_resolution_step_equals_one_written_by_hand(model_config: dict[str, Any], pairs: DomainPairs) -> None:
    model_config["decode_head"]["dropout_ratio"] = 0
    parts = MultiResolutionSettings(detail_crop=(24, 16), attention_channels=8, window=None, detail_weight=0.25)
    student: Any = build_model(wrap_multi_resolution(model_config, parts), 3).train()
    with torch.no_grad():
        student.decode_head.conv_seg.weight.mul_(30)
    settings = make_settings(pseudo_threshold=0.3, mix="none", strong_augment=None, multi_resolution=parts)
    model: Any = SelfTraining(copy.deepcopy(student), settings, seed=SEED)
    model.train()

    step = model.train_step(get_batch(pairs, 0), make_optimizer(model))

    draws = draw_step(settings, SEED, 0, torch.zeros(2, 24, 48), student)
    batch = student.data_preprocessor(get_batch(pairs, 0)["source"], training=True)
    targets = student.data_preprocessor(get_batch(pairs, 0)["target"], training=True)["inputs"]
    labels = torch.stack([sample.gt_sem_seg.data[0] for sample in batch["data_samples"]])
    assert draws.source_box is not None
    assert draws.mix_box is not None

    def get_loss(images: torch.Tensor, label: torch.Tensor, weight: float, box: tuple[int, int]) -> float:
        _, fused, detail = student.forward_crops(images, box)
        top, left = box
        cut = label[:, top : top + 16, left : left + 24]
        whole = torch.nn.functional.interpolate(fused, size=(24, 48), mode="bilinear", align_corners=False)
        part = torch.nn.functional.interpolate(detail, size=(16, 24), mode="bilinear", align_corners=False)
        sums = [torch.nn.functional.cross_entropy(a, b, ignore_index=255, reduction="sum") / b.numel()
                for a, b in ((whole, label), (part, cut))]  # fmt: skip
        return weight * float(0.75 * sums[0] + 0.25 * sums[1])

    with torch.no_grad():
        teacher: Any = copy.deepcopy(student)
        slides = teacher.predict_slides(targets)
        logits = torch.nn.functional.interpolate(slides, size=(24, 48), mode="bilinear", align_corners=False)
        confidence, pseudo_label = logits.softmax(1).max(1)
        q = (confidence >= 0.3).float().mean().item()
        source_loss = get_loss(batch["inputs"], labels, 1.0, draws.source_box)
        mix_loss = get_loss(targets, pseudo_label, q, draws.mix_box)
    assert 0 < q < 1
    assert step["q"].item() == pytest.approx(q, abs=1e-4)
    assert step["source_loss"].item() == pytest.approx(source_loss, rel=1e-4)
    assert step["mix_loss"].item() == pytest.approx(mix_loss, rel=1e-3)
    assert {head for head in ("decode_head", "attention") for name, p in model.student.named_parameters()
            if head in name and p.grad is not None and p.grad.abs().sum() > 0} == {"decode_head", "attention"}  # fmt: skip


def test_empty_feature_distance_is_zero_and_counted(model_config: dict[str, Any], pairs: DomainPairs) -> None:
    model = make_model(model_config, feature_distance={"classes": (200,), "reference": "start"})

    step = model.train_step(get_batch(pairs, 0), make_optimizer(model))

    assert step["feature_distance_loss"].item() == 0.0
    assert step["feature_distance_empty"].item() == 1.0
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.student.parameters())


def test_reference_is_frozen_and_stays_what_the_student_began_with(
    model_config: dict[str, Any], pairs: DomainPairs
) -> None:
    model = make_model(model_config, feature_distance={"reference": "start"})
    before = copy.deepcopy(model.student.backbone.state_dict())
    wrapper = make_optimizer(model, lr=0.1)

    for t in range(2):
        model.train_step(get_batch(pairs, t), wrapper)

    assert all(torch.equal(value, before[name]) for name, value in model.reference_backbone.state_dict().items())
    assert not any(module.training for module in model.reference_backbone.modules())
    assert not torch.equal(next(model.student.backbone.parameters()), next(model.reference_backbone.parameters()))


def test_no_mixing_learns_from_the_target_alone(model_config: dict[str, Any], pairs: DomainPairs) -> None:
    model = make_model(model_config, mix="none", strong_augment=None)
    model.monitor.wants_example = True

    model.train_step(get_batch(pairs, 0), make_optimizer(model))

    example = model.monitor.example
    assert torch.equal(example.mixed, example.target)
    assert torch.equal(example.mixed_label, example.pseudo_label)


def test_parts_of_an_iteration_move_the_teacher_once(model_config: dict[str, Any], pairs: DomainPairs) -> None:
    model = make_model(model_config)
    wrapper = StepWrapper(torch.optim.SGD(model.student.parameters(), lr=0.1), parts=2)
    students = []
    for t in range(2):
        students.append(copy.deepcopy(model.student.state_dict()))
        for part in range(2):
            wrapper.part = part
            model.train_step(get_batch(pairs, 2 * t + part), wrapper)
            assert model.iteration == t + (part == 1)

    for name, parameter in model.teacher.named_parameters():
        torch.testing.assert_close(parameter, (students[0][name] + students[1][name]) / 2)


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
    assert model.iteration == 4
    assert model.state_dict()["_extra_state"].item() == 4


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
        predict_labels_from(network, images) for network in (model.teacher, model.teacher, model.student, model.student)
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
    predictions = run_network(model.student, torch.randn(2, 3, 24, 48), None)[1]

    assert [get_loss_factor(head) for head in heads] == [1.0, 0.4]
    assert [prediction.head for prediction in predictions] == heads
    assert [tuple(one.enlarge((24, 48)).shape) for one in predictions] == [(2, 11, 24, 48)] * 2
    model.train_step(get_batch(pairs, 0), make_optimizer(model))
    assert model.student.auxiliary_head.conv_seg.weight.grad.abs().sum() > 0


def test_head_without_one_map_of_logits_is_refused(model_config: dict[str, Any]) -> None:
    model = make_model(model_config)
    model.student.decode_head.forward = lambda features: (features[2], features[2])

    with pytest.raises(SpecError, match="FCNHead does not give one map of logits"):
        run_network(model.student, torch.randn(2, 3, 24, 48), None)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_labels_and_losses_stay_float32(
    model_config: dict[str, Any], pairs: DomainPairs, precision: Precision
) -> None:
    parts = MultiResolutionSettings(detail_crop=(24, 16), attention_channels=8, window=None)
    model = make_model(
        wrap_multi_resolution(model_config, parts),
        multi_resolution=parts,
        feature_distance={"reference": "start", "classes": tuple(range(11))},
        masked_consistency={"block": 8},
    )
    wrapper = StepWrapper(torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3), precision)

    steps = [model.train_step(get_batch(pairs, t), wrapper) for t in range(2)]

    for step in steps:
        assert {value.dtype for name, value in step.items() if name != "ema_alpha"} == {torch.float32}
        assert all(torch.isfinite(value) for value in step.values())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = run_network(model.student, torch.randn(2, 3, 24, 48), (0, 8))[1][0]
        logits = prediction.enlarge((24, 48))
    # Resized in float32, not rounded to the 8 bits of bfloat16's mantissa again.
    wanted = torch.nn.functional.interpolate(
        prediction.logits.detach().double(), size=(24, 48), mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(logits.double(), wanted, rtol=1e-5, atol=1e-5)


def test_all_backbones_are_compiled_together(model_config: dict[str, Any]) -> None:
    model = make_model(model_config, feature_distance={"reference": "start"})

    assert find_backbones(model) == [model.student.backbone, model.teacher.backbone, model.reference_backbone]


def test_stage_that_the_backbone_lacks_is_refused(model_config: dict[str, Any], pairs: DomainPairs) -> None:
    model = make_model(model_config, feature_distance={"reference": "start", "stage": 7})

    with pytest.raises(SpecError, match=r"feature_distance\.stage is 7, but the backbone has 3 outputs"):
        model.train_step(get_batch(pairs, 0), make_optimizer(model))


def test_plain_config_without_pretrained_weights_has_no_imagenet_distance(model_config: dict[str, Any]) -> None:
    for key in ("num_channels", "num_blocks", "dilations", "reductions"):
        model_config["backbone"][key] = tuple(model_config["backbone"][key])
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = MODELS.build({"type": "SelfTraining", "student": model_config, "settings": {}})

    with pytest.raises(SpecError, match="Pretrained"):
        model.init_weights()


def test_plain_config_builds_it(model_config: dict[str, Any]) -> None:
    config = copy.deepcopy(model_config)
    for key in ("num_channels", "num_blocks", "dilations", "reductions"):
        config["backbone"][key] = tuple(config["backbone"][key])

    with DefaultScope.overwrite_default_scope("mmseg"):
        settings = {"ema_alpha": 0.9, "feature_distance": {"reference": "start"}}
        model = MODELS.build({"type": "SelfTraining", "student": config, "settings": settings})
    model.init_weights()

    assert model.settings.ema_alpha == 0.9
    assert all(torch.equal(a, b) for a, b in zip(model.student.parameters(), model.teacher.parameters(), strict=True))
    assert model(torch.randn(1, 3, 24, 48), mode="tensor").shape[1] == 11
