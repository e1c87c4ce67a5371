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

from adapt.errors import SpecError
from adapt.networks.multi_resolution import MultiResolution
from adapt.networks.multi_resolution_config import wrap_multi_resolution
from adapt.openmmlab import MODELS, BaseModel, DropPath
from adapt.training.distributed import any_over_workers, count_workers, mean_over_workers, sum_over_workers
from adapt.training.timing import StepTimer
from adapt.uda.class_mix import choose_classes, find_present, make_mask, mix
from adapt.uda.draws import StepDraws, draw_step
from adapt.uda.ema import compute_ema_alpha, update_teacher
from adapt.uda.feature_distance import compute_feature_distance, make_thing_mask
from adapt.uda.masking import mask_blocks
from adapt.uda.monitor import Monitor
from adapt.uda.predictions import compute_pseudo_loss, compute_supervised_loss, predict_labels_from, run_network
from adapt.uda.pseudo_label import make_pseudo_labels, weigh_pixels
from adapt.uda.settings import SelfTrainingSettings, UdaSettings
from adapt.uda.strong_augment import augment_strongly


@MODELS.register_module()
class SelfTraining(BaseModel):
    """A student that learns from source labels and from its EMA teacher's labels of target images."""

    def __init__(
        self,
        student: nn.Module | dict[str, Any],
        settings: SelfTrainingSettings | Mapping[str, Any],
        seed: int = 0,
        classes: Sequence[str] = (),
    ) -> None:
        """Wrap a segmentor.

        Args:
            student: An `EncoderDecoder`, or its config; with `settings.multi_resolution` a config is made a `MultiResolution`
                network's.
            settings: The method's settings, or the same as a dict, in which `name` chooses the defaults (`daformer`).
            seed: Decides what is mixed, augmented, cropped and masked in each iteration.
            classes: Names of the classes for the reports; without them the train ids are the names.
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
        self.reference = (
            copy.deepcopy(built.backbone).requires_grad_(False) if settings.feature_distance is not None else None
        )
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
        """Initialise the student where that is still to be done, and copy it to the teacher and the reference."""
        if not self.student.is_init:
            self.student.init_weights()
        self.teacher.load_state_dict(self.student.state_dict())
        if self.reference is not None:
            self.reference.load_state_dict(self.student.backbone.state_dict())

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
        if self.reference is not None:
            self.reference.eval()
        return self

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Run the student, as its own `forward` does."""
        return self.student(inputs, data_samples, mode)

    def read_monitor(self) -> dict[str, float]:
        """Read and empty what was counted since the last reading; see `Monitor`."""
        return self.monitor.read()

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
        source_label = torch.stack([sample.gt_sem_seg.data[0] for sample in source["data_samples"]])  # (N, H, W)
        draws = draw_step(settings, self.seed, self.iteration * parts + part, source_label, self.student)

        optim_wrapper.zero_grad()
        alpha = compute_ema_alpha(self.iteration, settings.ema_alpha)
        if part == 0:
            with self.timer.measure("teacher"):
                update_teacher(self.teacher, self.student, alpha)

        losses = self._learn_source(source["inputs"], source_label, draws, optim_wrapper)

        with self.timer.measure("teacher"), torch.no_grad():
            with optim_wrapper.optim_context(self):
                logits = predict_labels_from(self.teacher, target["inputs"])
            pseudo_label, share = make_pseudo_labels(logits, settings.pseudo_threshold)
            q = mean_over_workers(share)
            pseudo_weight = weigh_pixels(
                q, tuple(pseudo_label.shape), settings.ignore_top, settings.ignore_bottom, _stack_valid(target)
            )

        with self.timer.measure("student"):
            image, label, weight = target["inputs"], pseudo_label, pseudo_weight
            if settings.mix == "class_mix":
                present = any_over_workers(find_present(source_label))
                # A draw of classes for every image, all from the classes of the whole batch.
                mask = torch.stack(
                    [
                        make_mask(one, choose_classes(present, order))
                        for one, order in zip(source_label, draws.class_orders, strict=True)
                    ]
                )
                image = mix(mask[:, None], source["inputs"], image)
                label = mix(mask, source_label, label)
                weight = mix(mask, torch.ones_like(weight), weight)
            image = self._augment(image, draws.strong)
            with optim_wrapper.optim_context(self):
                predictions = run_network(self.student, image, draws.mix_box)[1]
                losses["mix_loss"] = compute_pseudo_loss(predictions, label, weight)
            optim_wrapper.backward(losses["mix_loss"])

        self.monitor.count_draws(source["data_samples"])
        self.monitor.score_pseudo_labels(pseudo_label, target["data_samples"])
        self.monitor.keep_example(
            source=source["inputs"], source_label=source_label, target=target["inputs"], pseudo_label=pseudo_label,
            mixed=image, mixed_label=label, weight=weight,
        )  # fmt: skip

        if settings.masked_consistency is not None and draws.keep is not None:
            with self.timer.measure("student"):
                masked = mask_blocks(self._augment(target["inputs"], draws.masked_strong), draws.keep)
                with optim_wrapper.optim_context(self):
                    predictions = run_network(self.student, masked, draws.masked_box)[1]
                    loss = compute_pseudo_loss(predictions, pseudo_label, pseudo_weight)
                losses["masked_loss"] = settings.masked_consistency.weight * loss
                optim_wrapper.backward(losses["masked_loss"])

        with self.timer.measure("student"):
            optim_wrapper.step()
        if part == parts - 1:
            self.iteration += 1
        total = torch.stack([value.detach() for name, value in losses.items() if name.endswith("loss")]).sum()
        scalars = {"q": q, "ema_alpha": torch.tensor(alpha, dtype=torch.float64)}
        return {"loss": total, **{name: value.detach() for name, value in losses.items()}, **scalars}

    def _learn_source(self, images: Tensor, label: Tensor, draws: StepDraws, optim_wrapper: Any) -> dict[str, Tensor]:
        """Learn from source labels and keep near the reference's features, in one backward pass."""
        with self.timer.measure("student"), optim_wrapper.optim_context(self):
            features, predictions = run_network(self.student, images, draws.source_box)
            losses = {"source_loss": compute_supervised_loss(predictions, label)}
        if self.settings.feature_distance is not None:
            with self.timer.measure("feature_distance"):
                losses |= self._measure_feature_distance(images, label, features, optim_wrapper)
        with self.timer.measure("student"):
            optim_wrapper.backward(sum(value for name, value in losses.items() if name.endswith("loss")))
        return losses

    def _measure_feature_distance(
        self, images: Tensor, label: Tensor, features: Sequence[Tensor], optim_wrapper: Any
    ) -> dict[str, Tensor]:
        settings = self.settings.feature_distance
        if settings is None or self.reference is None:
            raise ValueError("the feature distance is switched off")
        if isinstance(self.student, MultiResolution):
            images = self.student.shrink(images)
        with torch.no_grad(), optim_wrapper.optim_context(self):
            wanted = self.reference(images)[settings.stage]
        own = features[settings.stage]
        mask = make_thing_mask(label, tuple(own.shape[2:]), settings.classes, settings.min_ratio)
        total, count = compute_feature_distance(own.float(), wanted.float(), mask)
        joint = sum_over_workers(count)
        # Gradients are averaged over the workers, the distance is a mean over the cells of all of them.
        loss = settings.weight * total * count_workers() / joint.clamp(min=1)
        return {
            "feature_distance_loss": loss,
            "feature_distance_share": count / mask.numel(),
            "feature_distance_empty": (joint == 0).float(),
        }

    def _augment(self, images: Tensor, strong: Any) -> Tensor:
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


def _stack_valid(target: dict[str, Any]) -> Tensor | None:
    """Stack the masks of target pixels that may be learnt from, where the samples bring them."""
    samples = target["data_samples"]
    if not samples or "pseudo_valid" not in samples[0]:
        return None
    return torch.stack([sample.pseudo_valid.data[0] for sample in samples]).to(target["inputs"].device)
