#!/bin/sh
# Tests PyTorch models with examples/prunability.py; see torch_module.py. Skipped with a message if
# PyTorch is missing (apt-get install python3-torch).
#
#   [CC=cc] [PYTHON=python3] sh tests/peers/torch_module.sh
#
# The last line is "torch_module: N passed, N failed", with ", N skipped" where PyTorch is missing.

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
cd "$here/../.." || exit 1
find_python torch
if ! build_library "$work/libprunability.so" ||
    ! build_program examples/studies/measure.c "$work/measure"; then
    fail "the library does not compile"
    finish
    exit 1
fi
"$python" -B tests/peers/torch_module.py "$work/libprunability.so" "$work/measure" examples/data
