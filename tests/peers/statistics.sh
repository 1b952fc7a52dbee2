#!/bin/sh
# Compares the evaluate program with SciPy, where there is a Python that has it.
#
#   sh tests/peers/statistics.sh EVALUATE
#
# The last line is "SciPy: N passed, N failed", with ", N skipped" where SciPy is missing.

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
find_python scipy.stats
"$python" -B "$here/statistics.py" "$1"
