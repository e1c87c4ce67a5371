#!/usr/bin/env bash
# Make the virtual environment with the locked set of packages and segshift itself (editable).
set -euo pipefail
python="${PYTHON:-python3}"
venv="${VENV:-.venv}"

"$python" - <<'CHECK' || exit 1
import sys
if sys.version_info < (3, 11):
    sys.exit(f"segshift needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: make setup PYTHON=python3.11")
CHECK

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "Installing the locked packages into $venv (a few minutes) ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]" 2> >(grep -v -E '^WARNING: (Location|Cache entry)' >&2)

# albumentations asks for the headless OpenCV and mmengine for the other: both unpack into one folder `cv2`, and whichever
# comes last wins by chance. Keep the headless one alone. Its files went with the other's, so it is unpacked again.
if "$venv/bin/python" -m pip show --quiet opencv-python 2>/dev/null; then
    "$venv/bin/python" -m pip uninstall --quiet --yes opencv-python opencv-python-headless
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --constraint constraints.txt opencv-python-headless 2> >(grep -v -E '^WARNING: (Location|Cache entry)' >&2)
fi
"$venv/bin/python" -c "import cv2, torch, ray, mlflow, mmengine"
