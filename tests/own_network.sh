#!/bin/sh
# Networks of one's own, written by hand in C (tests/own_network.c) and in Python: each must find the
# same prunability as the same network made of the library's layers. The command lines of the Python
# examples, and how prunability.py builds the library.
#
#   [CC=cc] [PYTHON=python3] sh tests/own_network.sh
#
# The last line is "own_network: N passed, N failed".

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
cd "$here/.." || exit 1

# agrees NAME COMMAND...: exit status 0, and two lines with the same prunability before the verdict
agrees() {
    name=$1
    shift
    "$@" > "$work/log" 2>&1
    status=$?
    sed -n 's/^prunability [^0-9]*\([0-9.]*\) of \([0-9]*\) weights.*/\1 \2/p' "$work/log" \
        > "$work/answers"
    if [ "$status" -eq 0 ] && [ "$(wc -l < "$work/answers")" -eq 2 ] \
        && [ "$(sort -u "$work/answers" | wc -l)" -eq 1 ]; then
        pass
    else
        fail "$name: exit status $status" "$work/log"
    fi
}

# ends NAME STATUS TEXT COMMAND...: with that status, and prints the text
ends() {
    name=$1
    wanted=$2
    text=$3
    shift 3
    "$@" > "$work/log" 2>&1
    status=$?
    if [ "$status" -eq "$wanted" ] && grep -q -e "$text" "$work/log" &&
        ! grep -q Traceback "$work/log"; then
        pass
    else
        fail "$name: exit status $status" "$work/log"
    fi
}

build_program tests/own_network.c "$work/own_network" 2> "$work/log" || cat "$work/log"
agrees "own_network.c" "$work/own_network"

for script in from_pytorch own_network; do
    # from_pytorch.py answers --help without PyTorch, and everything else with it
    [ $script = from_pytorch ] || find_python numpy
    if ! command -v "$python" > /dev/null; then
        skip "$script.py: $python is not installed"
        continue
    fi
    ends "$script.py --help" 0 "$script.py" "$python" -B "examples/pytorch/$script.py" --help
    ends "$script.py --help on a full disk" 1 'No space\|closed' \
        sh -c "'$python' -B examples/pytorch/$script.py --help > /dev/full"
    [ $script = own_network ] || "$python" -c 'import torch' 2> /dev/null || continue
    ends "$script.py, an unknown option" 2 '--nonsense' "$python" -B "examples/pytorch/$script.py" \
        --nonsense
    ends "$script.py, a file that is not there" 1 'there' \
        "$python" -B "examples/pytorch/$script.py" $([ $script = own_network ] && echo "$work/none.so" ||
            echo --load "$work/none.pt --program $python --measure none --out $work/make")
done
library=$work/libprunability.so
if build_library "$library" 2> "$work/log"; then
    agrees "own_network.py" "$python" -B examples/pytorch/own_network.py "$library"
    ends "own_network.py where no data is" 1 "project's root" \
        sh -c "here=\$PWD; cd '$work'; exec '$python' -B \"\$here/examples/pytorch/own_network.py\" '$library'"
else
    fail "the shared library does not compile" "$work/log"
fi

# The library is built once, into the cache, by one process of several.
mkdir "$work/copy"
cp examples/prunability.py prunability.h "$work/copy"
cat > "$work/copy/main.py" << 'END'
import numpy as np
import prunability as P
w = np.array([[3, -1, .1, 0]], np.float32)
found = P.prunability(P.Objective([("w", w, "weight")], lambda i: np.full(len(i), 4 - abs(w[0, 0])),
                                  8, nonnegative=True))
print(found.kept_fraction)
END
for run in 1 2; do
    (cd "$work/copy" && XDG_CACHE_HOME=$work/cache CC="$cc" exec "$python" -B main.py) \
        > "$work/out$run" 2> "$work/err$run" &
done
wait
check "two processes build the library at once" sh -c "cmp '$work/out1' '$work/out2' &&
    [ \"\$(cat '$work/out1')\" = 0.13 ] && ls '$work'/cache/prunability/*.so"
check "nothing temporary is left" sh -c "! ls '$work'/cache/prunability/*.tmp 2> /dev/null"
(cd "$work/copy" && XDG_CACHE_HOME=$work/cache CC=false exec "$python" -B main.py) > "$work/out1" 2>&1
check "another compiler is another library" grep -q 'does not compile' "$work/out1"
(cd "$work/copy" && XDG_CACHE_HOME=$work/cache CC=/nonexistent/cc exec "$python" -B main.py) \
    > "$work/out1" 2>&1
check "no compiler" grep -q 'there is no C compiler' "$work/out1"
rm "$work/copy/prunability.h"
(cd "$work/copy" && XDG_CACHE_HOME=$work/cache exec "$python" -B main.py) > "$work/out1" 2>&1
check "no header" grep -q 'copy the header there' "$work/out1"

finish
