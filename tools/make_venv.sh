#!/bin/sh
# Makes the virtual environment $1 with the Python $2 (default: the first of 3.11,
# 3.12, 3.13 that runs) and installs the package there in editable mode.
set -eu

venv=$1
wanted=${2:-}

is_supported() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
        >/dev/null 2>&1
}

fail() {
    echo "ascl_tf: $1" >&2
    exit 1
}

if [ -n "$wanted" ]; then
    found=$("$wanted" --version 2>/dev/null || true)
    is_supported "$wanted" ||
        fail "PYTHON=$wanted: expected Python 3.11 to 3.13 with venv, found ${found:-no such interpreter}"
    python=$wanted
else
    python=
    for candidate in python3.11 python3.12 python3.13 python3 python; do
        if is_supported "$candidate"; then
            python=$candidate
            break
        fi
    done
    [ -n "$python" ] || fail "no Python 3.11 to 3.13 with venv on the PATH; name one as PYTHON=/path/to/python3.11"
fi

"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --editable .
# On all cores at once, which pip does not, and half of it: what no program imports is left out.
# Some packages hold templates that are no Python.
"$venv/bin/python" -m compileall -q -j 0 -x '/(tests|testing|tensorflow_probability|pip)/' \
    "$venv/lib" >/dev/null 2>&1 || true
