#!/bin/sh
# Compares spectral norms with SciPy's full decomposition, where there is a Python that has it.
#
#   [CC=cc] sh tests/peers/spectral.sh
#
# The last line is "spectral: N passed, N failed", with ", N skipped" where SciPy is missing.

cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/prunability-spectral.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

for python in "${PYTHON:-python3}" python3 /usr/bin/python3 ''; do
    [ -n "$python" ] && "$python" -c 'import scipy.linalg' 2> /dev/null && break
done
if [ -z "$python" ]; then
    echo 'skip spectral norms: no Python here has SciPy (apt-get install python3-scipy)'
    echo 'spectral: 0 passed, 0 failed, 1 skipped'
    exit 0
fi
printf '#define PRUNABILITY_IMPLEMENTATION\n#include "prunability.h"\n' > "$work/library.c"
if ! ${CC:-cc} -O2 -fPIC -shared -I. "$work/library.c" -o "$work/library.so" -lm; then
    echo 'spectral: 0 passed, 1 failed'
    exit 1
fi
OPENBLAS_NUM_THREADS=1 "$python" -B tests/peers/spectral.py "$work/library.so"
