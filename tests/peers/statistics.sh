#!/bin/sh
# Compares the evaluate program with SciPy, if some Python has it.
#
#   [CC=cc] sh tests/peers/statistics.sh
#
# The last line is "SciPy: N passed, N failed", with ", N skipped" where SciPy is missing.

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
find_python scipy.stats
cd "$here/../.." || exit 1
if ! build_program examples/studies/evaluate.c "$work/evaluate"; then
    fail "evaluate.c does not compile"
    finish
    exit 1
fi
"$python" -B "$here/statistics.py" "$work/evaluate"
