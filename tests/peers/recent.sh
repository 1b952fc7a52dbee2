#!/bin/sh
# Compares the measures proposed after the paper's catalogue with PyTorch, and cluster indices with
# scikit-learn; see recent.py. Skipped with a message if PyTorch is missing (apt-get install
# python3-torch).
#
#   [CC=cc] [PYTHON=python3] sh tests/peers/recent.sh [FOLDER]
#
# FOLDER: a clone of tml-epfl/sharpness-vs-generalization, whose ascent is then compared as well.
# The last line is "recent: N passed, N failed", with ", N skipped" where PyTorch or scikit-learn is
# missing.

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
[ $# -eq 0 ] || folder=$(cd "$1" && pwd) || exit 1
cd "$here/../.." || exit 1
find_python torch
if ! build_library "$work/library.so"; then
    fail "the shared library does not compile"
    finish
    exit 1
fi
OMP_NUM_THREADS=1 "$python" -B tests/peers/recent.py "$work/library.so" examples/data ${folder:+"$folder"}
