"""Planning is quick because it imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
from orchestrator.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as error:
    code = error.code
heavy = sorted({"torch", "ray", "mlflow", "mmseg", "mmengine", "cv2", "scipy"} & set(sys.modules))
print(f"code={code} heavy={heavy}", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["plan"], 0),
        (["plan", "gta2cityscapes"], 0),
        (["plan", "gta2cityscapes", "--json"], 0),
        (["plan", "gta2cityscapes", "--profile", "full"], 2),
        (["simulate", "gta2cityscapes", "--profile", "full", "--cluster", "workstation"], 0),
        (["status"], 0),
        (["sweep", "gta2cityscapes", "--profile", "full"], 2),
        (["corrupt", "images", "copies", "--protocol", "quik"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_nothing_heavy_is_imported(arguments: list[str], code: int) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1] == f"code={code} heavy=[]"
