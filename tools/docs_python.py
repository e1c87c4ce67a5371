"""The reference of the parts that one may call from Python: mkdocstrings reads their docstrings."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGINNING = "__"  # of `__init__` and what else is no module of its own

# page -> title, an opening sentence, and the modules or packages that it shows
PAGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "python_scores.md": (
        "Python: scores",
        "Pure functions of numpy arrays. Each says shape, range and what it refuses; [Every score](../scores.md) has formulas.",
        ("adapt.scores", "adapt.tta.reservoir.purity", "adapt.correction.scores", "orchestrator.scoring"),
    ),
    "python_uda.md": (
        "Python: adaptation",
        "The parts of unsupervised domain adaptation, each a pure function or a small class.",
        (
            "adapt.uda.class_mix",
            "adapt.uda.ema",
            "adapt.uda.pseudo_label",
            "adapt.uda.masking",
            "adapt.uda.feature_distance",
            "adapt.uda.strong_augment",
            "adapt.uda.entropy",
        ),
    ),
    "python_tta.md": (
        "Python: test time",
        "What every test-time method is and does. The methods themselves are in [Methods](methods.md).",
        (
            "adapt.tta.method",
            "adapt.tta.norm_method",
            "adapt.tta.catalog",
            "adapt.tta.supplies",
            "adapt.tta.parameters",
            "adapt.tta.entropy",
            "adapt.tta.summary",
        ),
    ),
    "python_noise.md": (
        "Python: noisy labels",
        "Noise in labels, and what corrects them.",
        (
            "adapt.noise.catalog",
            "adapt.correction.curve",
            "adapt.correction.detection",
            "adapt.correction.rules",
            "adapt.correction.loss",
            "adapt.correction.small_loss",
        ),
    ),
    "python_corruptions.md": (
        "Python: corruptions",
        "Images in, images out; needs neither torch nor the rest of segshift.",
        (
            "corruptions.apply",
            "corruptions.catalog",
            "corruptions.protocol",
            "corruptions.protocol_file",
            "corruptions.seeding",
            "corruptions.copies",
            "corruptions.image_id",
            "corruptions.preview",
            "corruptions.albumentations_transform",
        ),
    ),
}


def write_pages() -> dict[str, str]:
    """Return the pages by file name."""
    return {
        name: "\n".join(
            [f"# {title}\n", f"{text}\n", *(f"::: {module}\n" for place in places for module in list_modules(place))]
        )
        for name, (title, text, places) in PAGES.items()
    }


def list_modules(place: str) -> list[str]:
    """List the modules of a package, or a module alone."""
    path = ROOT / place.replace(".", "/")
    if not path.is_dir():
        return [place]
    return [f"{place}.{file.stem}" for file in sorted(path.glob("*.py")) if not file.stem.startswith(BEGINNING)]


def read_changes() -> str:
    """Return the changelog, which lies outside the documentation's folder."""
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
