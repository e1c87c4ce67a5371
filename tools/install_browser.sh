#!/usr/bin/env bash
# Add what the tests of pages need: the packages that drive a browser, and a Chromium where none is on PATH.
set -euo pipefail
venv="${VENV:-.venv}"

fail() {
    echo "setup-browser: $1" >&2
    exit 1
}

# By name, not as the extra `browser` of segshift: resolving segshift anew would bring the second OpenCV back (install.sh).
echo "Installing the packages that drive a browser into $venv ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt playwright axe-playwright-python ||
    fail "pip could not install playwright and axe-playwright-python; see above."

for name in chromium chromium-browser google-chrome; do
    if found="$(command -v "$name")"; then
        echo "Chromium is there: $found"
        exit 0
    fi
done

command -v apt-get >/dev/null ||
    fail "no Chromium on PATH and no apt-get: install Chromium by this system's own means, then run it again."
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
        fail "no Chromium on PATH; apt-get needs root, and there is no sudo. Ask for:  apt-get install chromium"
    as_root=(sudo)
fi
echo "Installing Debian's chromium by: ${as_root[*]:+sudo }apt-get install chromium"
"${as_root[@]}" apt-get update -qq || fail "apt-get update failed; see above. Is there a network?"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null ||
    fail "apt-get could not install chromium; see above."
command -v chromium >/dev/null || fail "apt-get installed chromium, but it is not on PATH."
echo "Chromium is there: $(command -v chromium)"
