#!/bin/sh
# Compares the evaluate program with SciPy, where there is a Python that has it.
#
#   sh tests/peers/statistics.sh EVALUATE
#
# The last line is "SciPy: N passed, N failed", with ", N skipped" where SciPy is missing.

here=$(cd "$(dirname "$0")" && pwd)
for python in "${PYTHON:-python3}" /usr/bin/python3; do
    if "$python" -c 'import scipy.stats' 2> /dev/null; then
        exec "$python" -B "$here/statistics.py" "$1"
    fi
done
echo 'skip comparison with SciPy: it is not installed (apt-get install python3-scipy)'
echo 'SciPy: 0 passed, 0 failed, 1 skipped'
