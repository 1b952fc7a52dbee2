#!/bin/sh
# Forking after a parallel region: the children finish, whichever OpenMP library runs the threads,
# from C and from Python's multiprocessing.
#
#   [PYTHON=python3] sh tests/fork.sh
#
# The last line is "fork: N passed, N failed", with ", N skipped" for what is not installed.

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
cd "$here/.." || exit 1
export OMP_NUM_THREADS=2

cat > "$work/pool.py" << 'END'
"""A pool of forked workers after the parent has used its threads."""
import ctypes
import multiprocessing
import sys

library = ctypes.CDLL(sys.argv[1])
Doubles = ctypes.c_double * 64


class Axes(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int64), ("count", ctypes.c_int64), ("values", ctypes.c_void_p),
                ("seed", ctypes.c_void_p), ("seeds", ctypes.c_int)]


def information(_):
    x, y = Doubles(*range(64)), Doubles(*[i * 37 % 64 for i in range(64)])
    columns = (ctypes.c_void_p * 1)(ctypes.addressof(x))
    axes = Axes(64, 1, ctypes.addressof(columns), None, 0)
    result = ctypes.create_string_buffer(1 << 16)
    status = library.prun_conditional_information(None, ctypes.byref(axes), x, y, 0, result)
    return status, result.raw


if __name__ == "__main__":
    expected = information(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        answers = pool.map_async(information, range(4)).get(timeout=30)
    sys.exit(0 if expected[0] == 0 and answers == [expected] * 4 else 1)
END

for cc in gcc clang; do
    if ! openmp_works; then
        skip "$cc with OpenMP: not available"
        continue
    fi
    check "$cc: shared library" $cc -shared -fPIC -O1 -fopenmp -DPRUNABILITY_IMPLEMENTATION -x c \
        prunability.h -o "$work/libprunability.so" -lm
    check "$cc: a program" $cc -O1 -fopenmp -include tests/linked.h tests/compile/fork.c \
        "$work/libprunability.so" -Wl,-rpath,"$work" -o "$work/fork" -lm
    check "$cc: children of a process that used its threads" "$work/fork"
    if ! command -v "$python" > /dev/null; then
        skip "$cc: multiprocessing: $python is not installed"
        continue
    fi
    check "$cc: multiprocessing" timeout 60 "$python" "$work/pool.py" "$work/libprunability.so"
done

finish
