"""What methods need beside the network: refused, loaded, or measured as the stages measure it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adapt.data.catalog import CAMVID_CLASSES
from adapt.errors import PrerequisiteError, SpecError
from adapt.inference import forward_logits, to_tensor
from adapt.openmmlab.checkpoint import save_artifact
from adapt.openmmlab.model import build_model
from adapt.tta.fisher import estimate_fisher
from adapt.tta.live.supplies import check_sources, load_auxiliary, measure_supplies
from adapt.tta.parameters import collect_norm_parameters
from adapt.tta.reservoir.settings import StyleExtractorSettings
from adapt.tta.reservoir.style import build_extractor
from adapt.tta.settings import AuxAdaptSettings, EataSettings, RdumbSettings, ReservoirSettings, TentSettings

HERE = Path("here")


@pytest.mark.parametrize(
    ("settings", "auxiliary", "source", "text"),
    [
        (AuxAdaptSettings(), None, None, "auxadapt .*--auxiliary FOLDER"),
        (ReservoirSettings(), None, None, r"reservoir\(tent\) needs styles measured .*--source FOLDER"),
        (EataSettings(), None, None, "eata needs fisher .*--source"),
        (ReservoirSettings(base=EataSettings()), None, None, "needs styles and fisher"),
        (RdumbSettings(base=AuxAdaptSettings()), None, None, r"rdumb\(auxadapt\).*--auxiliary"),
        (TentSettings(), HERE, None, "tent does not use --auxiliary"),
        (TentSettings(), None, HERE, "tent does not use --source"),
        (EataSettings(), HERE, HERE, "eata does not use --auxiliary"),
    ],
)
def test_what_is_missing_or_useless_is_refused(settings, auxiliary, source, text: str) -> None:
    with pytest.raises(SpecError, match=text):
        check_sources(settings, auxiliary, source)


def test_what_fits_is_let_pass() -> None:
    check_sources(TentSettings(), None, None)
    check_sources(AuxAdaptSettings(), HERE, None)
    check_sources(ReservoirSettings(), None, HERE)
    check_sources(RdumbSettings(base=EataSettings()), None, HERE)


def test_auxnet_has_the_same_classes(tmp_path: Path, model_config) -> None:
    model = build_model(model_config, seed=0)
    save_artifact(tmp_path, model_config, model, CAMVID_CLASSES)
    network = load_auxiliary(tmp_path, CAMVID_CLASSES, torch.device("cpu"))
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in network.state_dict().items())
    for classes in (CAMVID_CLASSES[:-1], CAMVID_CLASSES[::-1]):
        with pytest.raises(SpecError, match=r"has the 11 classes Sky, .*Give one that was trained on the same classes"):
            load_auxiliary(tmp_path, classes, torch.device("cpu"))


def test_styles_and_fisher_by_hand(clip: Path, draw, model_config) -> None:
    model = build_model(model_config, seed=0).eval()
    told: list[tuple[int, int]] = []
    settings = ReservoirSettings(base=EataSettings(batch_norm="source"))
    supplies = measure_supplies(
        settings, model, forward_logits, clip, 4, None, lambda done, total: told.append((done, total))
    )
    assert told == [(n, 8) for n in range(1, 9)]  # four of twelve frames, twice

    images = [to_tensor(model, draw(index)) for index in (0, 3, 6, 9)]
    extract = build_extractor(StyleExtractorSettings(), model, forward_logits)
    styles = torch.stack([extract(image) for image in images])
    assert torch.allclose(supplies.styles.mean, styles.mean(dim=0))
    distances = [float((a - b).norm()) for i, a in enumerate(styles) for b in styles[:i]]
    assert min(distances) <= supplies.styles.threshold <= max(distances) + 1e-6
    assert torch.equal(supplies.styles.extract(images[1]), styles[1])

    wanted = estimate_fisher(model, forward_logits, images, collect_norm_parameters(model), "source")
    assert supplies.fisher.keys() == wanted.keys()
    assert all(torch.equal(supplies.fisher[name], wanted[name]) for name in wanted)
    assert any(value.any() for value in wanted.values())


def test_only_what_is_needed_is_measured(clip: Path, model_config) -> None:
    model = build_model(model_config, seed=0).eval()
    supplies = measure_supplies(ReservoirSettings(), model, forward_logits, clip, 100, None, lambda done, total: None)
    assert supplies.fisher is None
    assert supplies.styles is not None
    supplies = measure_supplies(EataSettings(), model, forward_logits, clip, 100, None, lambda done, total: None)
    assert supplies.styles is None
    assert supplies.fisher is not None


def test_a_source_image_that_is_broken_is_named(clip: Path, model_config) -> None:
    (clip / "frame4.png").write_bytes(b"")
    model = build_model(model_config, seed=0).eval()
    with pytest.raises(PrerequisiteError, match=r"source image 'frame4' .* the file is empty"):
        measure_supplies(ReservoirSettings(), model, forward_logits, clip, 100, None, lambda done, total: None)
