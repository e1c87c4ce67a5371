"""Self-training with an EMA teacher as one segmentor for mmengine's Runner: DACS, DAFormer, HRDA and MIC.

Paper: DACS, WACV 2021, arXiv:2007.08702; DAFormer, CVPR 2022, arXiv:2111.14887; HRDA, ECCV 2022, arXiv:2204.13132; MIC,
    CVPR 2023, arXiv:2212.01322.
Implements: DAFormer's section 3 (source loss, pseudo-labels and their weight, EMA teacher, feature distance), ClassMix with
    strong augmentation, HRDA's two-resolution losses and pseudo-labels, MIC's masked consistency loss on target images that
    are strongly augmented too.
Checked against: lhoyer/DAFormer, mmseg/models/uda/dacs.py; lhoyer/HRDA; lhoyer/MIC, masking_consistency_module.py; steps
    written out by hand in the tests.
Deviations: the teacher's step count is saved, so a resumed run keeps its teacher. The source loss and the feature distance go
    back through the network together: the same gradient in one backward pass instead of two. HRDA's detail crop may also
    begin at the largest multiple of 8, which the reference never draws.
Protocol: evaluation uses the student; the teacher is offered under its own name.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from adapt.correction.counts import LabelCounts
from adapt.errors import SpecError
from adapt.networks.multi_resolution import MultiResolution
from adapt.networks.multi_resolution_config import wrap_multi_resolution
from adapt.openmmlab import MODELS, BaseModel, DropPath
from adapt.training.distributed import any_over_workers, count_workers, mean_over_workers, sum_over_workers
from adapt.training.predictions import (
    Box,
    compute_pseudo_loss,
    compute_supervised_loss,
    predict_labels_from,
    run_network,
)
from adapt.training.timing import StepTimer
from adapt.uda.class_mix import choose_classes, find_present, make_mask, mix
from adapt.uda.draws import StepDraws, draw_step
from adapt.uda.ema import compute_ema_alpha, update_teacher
from adapt.uda.feature_distance import compute_feature_distance, make_thing_mask
from adapt.uda.masking import mask_blocks
from adapt.uda.monitor import Monitor
from adapt.uda.pseudo_label import make_pseudo_labels, weigh_pixels
from adapt.uda.settings import FeatureDistanceSettings, SelfTrainingSettings, UdaSettings
from adapt.uda.strong_augment import StrongDraws, augment_strongly


@MODELS.register_module()
class SelfTraining(BaseModel):
    """A student that learns from source labels and from its EMA teacher's labels of target images."""

    def __init__(
        self,
        student: nn.Module | dict[str, Any],
        settings: SelfTrainingSettings | Mapping[str, Any],
        seed: int = 0,
        classes: Sequence[str] = (),
        counts: LabelCounts | None = None,
    ) -> None:
        """Wrap a segmentor.

        Args:
            student: An `EncoderDecoder`, or its config; with `settings.multi_resolution` a config is made a `MultiResolution`
                network's.
            settings: The method's settings, or the same as a dict, in which `name` chooses the defaults (`daformer`).
            seed: Decides what is mixed, augmented, cropped and masked in each iteration.
            classes: Names of the classes for the reports; without them the train ids are the names.
            counts: Counts how the student follows source labels that may be wrong (`adapt.correction`); None counts nothing.
        """
        settings = _read_settings(settings)
        if isinstance(student, nn.Module):
            built: Any = student
        else:
            parts = settings.multi_resolution
            built = MODELS.build(student if parts is None else wrap_multi_resolution(student, parts))
        super().__init__(data_preprocessor=built.data_preprocessor)
        self.settings = settings
        self.seed = seed
        self.iteration = 0
        self.student = built
        self.teacher = copy.deepcopy(built).requires_grad_(False)
        # The first backbone, frozen, for the feature distance.
        self.reference_backbone = (
            copy.deepcopy(built.backbone).requires_grad_(False) if settings.feature_distance is not None else None
        )
        self.counts = counts
        self.timer = StepTimer()
        self.monitor = Monitor(classes or [str(index) for index in range(built.decode_head.num_classes)])

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the scalars that `train_step` returns."""
        names = ["loss", "source_loss", "mix_loss", "q", "ema_alpha"]
        if self.settings.feature_distance is not None:
            names += ["feature_distance_loss", "feature_distance_share", "feature_distance_empty"]
        if self.settings.masked_consistency is not None:
            names.append("masked_loss")
        return tuple(names)

    def init_weights(self) -> None:
        """Initialise the student where that is still to be done, and copy it to the teacher and the reference.

        Raises:
            SpecError: The feature distance refers to ImageNet, and the student's config names no pretrained weights.
        """
        if not self.student.is_init:
            distance = self.settings.feature_distance
            if distance is not None and distance.reference == "imagenet" and not _is_pretrained(self.student):
                raise SpecError(
                    "The feature distance keeps the backbone near its ImageNet features, but neither the student nor its "
                    "backbone has `init_cfg=dict(type='Pretrained', checkpoint=...)`. Add it, or give the settings "
                    "`feature_distance=None` (none) or `feature_distance=dict(reference='start')`."
                )
            self.student.init_weights()
        self.teacher.load_state_dict(self.student.state_dict())
        if self.reference_backbone is not None:
            self.reference_backbone.load_state_dict(self.student.backbone.state_dict())

    def get_extra_state(self) -> Tensor:
        """Save the count of iterations with the weights: a run that goes on must not start its teacher anew."""
        return torch.tensor(self.iteration)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from a saved count of iterations."""
        self.iteration = int(state)

    def train(self, mode: bool = True) -> SelfTraining:
        """Switch mode. The teacher goes along, its batch norms too, but never drops anything out; the reference does not."""
        super().train(mode)
        for module in self.teacher.modules():
            if isinstance(module, (_DropoutNd, DropPath)):
                module.eval()
        if self.reference_backbone is not None:
            self.reference_backbone.eval()
        return self

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Run the student, as its own `forward` does."""
        return self.student(inputs, data_samples, mode)

    def read_monitor(self) -> dict[str, float]:
        """Read and empty what all workers counted since the last reading; see `Monitor`."""
        return self.monitor.read(self.data_preprocessor.device)

    def train_step(self, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        """Do one training step on a batch of pairs.

        With several workers the batch is their joint batch: classes, q and the feature distance are of all its images. With
        gradient accumulation it is one part; the teacher moves before the first.

        Args:
            data: `source` and `target`, each what a segmentor's preprocessor takes; only the source needs labels.
            optim_wrapper: mmengine's or `StepWrapper`, over the student's parameters.

        Returns:
            The scalars that `metrics` names: `loss` (the sum), the losses it is made of, `q` (share of confident target
            pixels), `ema_alpha`; of the feature distance the share of its cells that count and whether there was none.
        """
        settings = self.settings
        part, parts = getattr(optim_wrapper, "part", 0), getattr(optim_wrapper, "parts", 1)
        source = self.data_preprocessor(data["source"], training=True)
        target = self.data_preprocessor(data["target"], training=True)
        source_labels = torch.stack([sample.gt_sem_seg.data for sample in source["data_samples"]])  # (N, C, H, W)
        source_label = source_labels[:, 0]
        draws = draw_step(settings, self.seed, self.iteration * parts + part, source_label, self.student)

        optim_wrapper.zero_grad()
        alpha = compute_ema_alpha(self.iteration, settings.ema_alpha)
        if part == 0:
            with self.timer.measure("teacher"):
                update_teacher(self.teacher, self.student, alpha)

        losses = self._learn_source(source["inputs"], source_labels, draws, optim_wrapper)

        pseudo_label, pseudo_weight, q = self._label_target(target, optim_wrapper)
        image, label, weight = target["inputs"], pseudo_label, pseudo_weight
        with self.timer.measure("student"):
            if settings.mix == "class_mix":
                present = any_over_workers(find_present(source_label))
                # A draw of classes for every image, all from the classes of the whole batch.
                chosen = [choose_classes(present, order) for order in draws.class_orders]
                mask = torch.stack([make_mask(*pair) for pair in zip(source_label, chosen, strict=True)])  # (N, H, W)
                image = mix(mask[:, None], source["inputs"], image)
                label = mix(mask, source_label, label)
                weight = mix(mask, torch.ones_like(weight), weight)
            image = self._augment(image, draws.strong)
            losses["mix_loss"] = self._learn_pseudo(image, label, weight, 1.0, draws.mix_box, optim_wrapper)

        self.monitor.count_draws(source["data_samples"])
        self.monitor.score_pseudo_labels(pseudo_label, target["data_samples"])
        self.monitor.keep_example(
            source=source["inputs"],
            source_label=source_label,
            target=target["inputs"],
            pseudo_label=pseudo_label,
            mixed=image,
            mixed_label=label,
            weight=weight,
        )

        masks = settings.masked_consistency
        if masks is not None and draws.keep is not None:
            with self.timer.measure("student"):
                image = mask_blocks(self._augment(target["inputs"], draws.masked_strong), draws.keep, masks.block)
                losses["masked_loss"] = self._learn_pseudo(
                    image, pseudo_label, pseudo_weight, masks.weight, draws.masked_box, optim_wrapper
                )

        with self.timer.measure("student"):
            optim_wrapper.step()
        if part == parts - 1:
            self.iteration += 1
        total = torch.stack([value for name, value in losses.items() if name.endswith("loss")]).sum()
        return {"loss": total, **losses, "q": q, "ema_alpha": torch.tensor(alpha, dtype=torch.float64)}

    def _learn_source(self, images: Tensor, labels: Tensor, draws: StepDraws, optim_wrapper: Any) -> dict[str, Tensor]:
        """Learn from the first of the source labels and keep near the reference's features, in one backward pass."""
        label = labels[:, 0]
        with self.timer.measure("student"), optim_wrapper.optim_context(self):
            features, predictions = run_network(self.student, images, draws.source_box)
            loss = compute_supervised_loss(predictions, label)
        if self.counts is not None:
            self.counts.add(predictions[0].enlarge(label.shape[1:]).detach(), labels)
        losses = {"source_loss": loss.detach()}
        distance, reference = self.settings.feature_distance, self.reference_backbone
        if distance is not None and reference is not None:
            with self.timer.measure("feature_distance"):
                with torch.no_grad(), optim_wrapper.optim_context(self):
                    seen = self.student.shrink(images) if isinstance(self.student, MultiResolution) else images
                    wanted = reference(seen)
                extra, measured = _measure_feature_distance(features, wanted, label, distance)
            loss = loss + extra
            losses |= measured
        with self.timer.measure("student"):
            optim_wrapper.backward(loss)
        return losses

    @torch.no_grad()
    def _label_target(self, target: dict[str, Any], optim_wrapper: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Have the teacher label target images: (N, H, W) labels, their weights, and q of all workers' images."""
        settings = self.settings
        with self.timer.measure("teacher"):
            with optim_wrapper.optim_context(self):
                logits = predict_labels_from(self.teacher, target["inputs"])
            label, share = make_pseudo_labels(logits, settings.pseudo_threshold)
            q = mean_over_workers(share)
            weight = weigh_pixels(
                q, tuple(label.shape), settings.ignore_top, settings.ignore_bottom, _stack_valid(target)
            )
        return label, weight, q

    def _learn_pseudo(
        self, images: Tensor, label: Tensor, weight: Tensor, factor: float, box: Box | None, optim_wrapper: Any
    ) -> Tensor:
        """Learn from labels with a weight for every pixel; return the loss, `factor` in it."""
        with optim_wrapper.optim_context(self):
            loss = factor * compute_pseudo_loss(run_network(self.student, images, box)[1], label, weight)
        optim_wrapper.backward(loss)
        return loss.detach()

    def _augment(self, images: Tensor, strong: StrongDraws | None) -> Tensor:
        if strong is None:
            return images
        preprocessor: Any = self.data_preprocessor
        return augment_strongly(images, strong, preprocessor.mean.view(-1), preprocessor.std.view(-1))


def _read_settings(settings: SelfTrainingSettings | Mapping[str, Any]) -> SelfTrainingSettings:
    """Validate settings that a plain config gives as a dict."""
    if isinstance(settings, SelfTrainingSettings):
        return settings
    read: Any = TypeAdapter(UdaSettings).validate_python({"name": "daformer", **settings})
    if not isinstance(read, SelfTrainingSettings):
        raise SpecError(f"The method '{read.name}' is no self-training: its segmentor is EntropyMinimisation.")
    return read


def _measure_feature_distance(
    features: Sequence[Tensor], wanted: Sequence[Tensor], label: Tensor, settings: FeatureDistanceSettings
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the loss and what is reported of it."""
    try:
        own, reference = features[settings.stage], wanted[settings.stage]
    except IndexError as error:
        raise SpecError(
            f"method.feature_distance.stage is {settings.stage}, but the backbone has {len(features)} outputs: write "
            f"{-len(features)} to {len(features) - 1}, or -1 for the last."
        ) from error
    mask = make_thing_mask(label, tuple(own.shape[2:]), settings.classes, settings.min_ratio)
    total, count = compute_feature_distance(own, reference, mask)
    joint = sum_over_workers(count)
    # Gradients are averaged over the workers, the distance is a mean over the cells of all of them.
    loss = settings.weight * total * count_workers() / joint.clamp(min=1)
    return loss, {
        "feature_distance_loss": loss.detach(),
        "feature_distance_share": count / mask.numel(),
        "feature_distance_empty": (joint == 0).float(),
    }


def _is_pretrained(student: Any) -> bool:
    """Tell whether the config of a segmentor, or of its backbone, names weights to start from."""
    configs = [getattr(part, "init_cfg", None) for part in (student, student.backbone)]
    flat = [one for config in configs for one in (config if isinstance(config, list) else [config])]
    return any(one is not None and one.get("type") == "Pretrained" for one in flat)


def _stack_valid(target: dict[str, Any]) -> Tensor | None:
    """Stack the masks of target pixels that may be learnt from, where the samples bring them."""
    samples = target["data_samples"]
    if not samples or "pseudo_valid" not in samples[0]:
        return None
    return torch.stack([sample.pseudo_valid.data[0] for sample in samples]).to(target["inputs"].device)
