"""A plain MMSegmentation config reaches our parts by `custom_imports = dict(imports=["adapt"])` alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_custom_imports_register_our_parts(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text("custom_imports = dict(imports=['adapt'])\n")
    script = (
        "import sys; from mmengine.config import Config; Config.fromfile(sys.argv[1])\n"
        "assert 'adapt.data.datasets' in sys.modules\n"
        "from mmseg.registry import DATASETS, MODELS\n"
        "ours = [name for r in (DATASETS, MODELS) for name, c in r.module_dict.items() if c.__module__.startswith('adapt.')]\n"
        "print(*sorted(ours))"
    )
    expected = {
        "DAFormerHead", "DeepLabV2Head", "DomainPairDataset", "EntropyMinimisation", "MultiResolution", "SegshiftGTA",
        "SelfTraining",
    }  # fmt: skip
    assert set(run(script, str(config)).split()) >= expected


def test_adapt_alone_stays_light() -> None:
    heavy = "('torch', 'mmengine', 'mmseg', 'mmcv', 'cv2', 'numpy')"
    assert run(f"import sys, adapt; print([m for m in {heavy} if m in sys.modules])") == "[]"
