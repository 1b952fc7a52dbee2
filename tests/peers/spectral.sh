#!/bin/sh
# Compares spectral norms and singular values with SciPy's full decomposition, if some Python has
# it.
#
#   [CC=cc] sh tests/peers/spectral.sh
#
# The last line is "spectral: N passed, N failed", with ", N skipped" where SciPy is missing.

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
cd "$here/../.." || exit 1
find_python scipy.linalg
if ! build_library "$work/library.so"; then
    fail "the shared library does not compile"
    finish
    exit 1
fi
OPENBLAS_NUM_THREADS=1 "$python" -B tests/peers/spectral.py "$work/library.so"
