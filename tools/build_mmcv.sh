#!/usr/bin/env bash
# Replace mmcv-lite by full mmcv, built from source against the installed torch: about 40 CPU minutes.
set -euo pipefail
python="${PYTHON:-.venv/bin/python}"
version="2.1.0" # mmsegmentation 1.2.2 refuses 2.2

if "$python" -c "import mmcv._ext" 2>/dev/null; then
    echo "Full mmcv is there already."
    exit 0
fi
echo "Building mmcv $version (compiled operations); this takes a while ..."
# setuptools < 80: mmcv's setup.py imports pkg_resources. No build isolation: it must see the installed torch.
"$python" -m pip install --quiet "setuptools<80" wheel ninja
"$python" -m pip uninstall --quiet --yes mmcv-lite
if ! MMCV_WITH_OPS=1 MAX_JOBS="${MAX_JOBS:-$(nproc)}" "$python" -m pip install --no-build-isolation --no-deps "mmcv==$version"; then
    "$python" -m pip install --quiet --no-deps --constraint constraints.txt mmcv-lite
    echo "mmcv did not build: a C++17 compiler and the Python headers are needed. mmcv-lite is back in place." >&2
    exit 1
fi
"$python" -c "import mmcv._ext; print('Full mmcv is installed.')"
