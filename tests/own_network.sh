#!/bin/sh
# Networks written by hand in C (tests/own_network.c) and in Python: each must have the same
# prunability as the same network built from the library's layers. Also tests the command lines of
# the Python examples, how prunability.py builds the library, and how it handles arrays.
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

# If several processes start together, one of them builds the library, into the cache.
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
# Scores, given kept fractions and intervals, for networks in arrays.
cat > "$work/copy/ranked.py" << 'END'
import math
import numpy as np
import prunability as P
a = np.random.default_rng(1).normal(size=(40, 6))
w = np.array([[3, -1, .1], [-2, .5, 4]], np.float32)
x = np.array([.5, .25], np.float32)
b = a @ w.reshape(-1).astype(float) + np.random.default_rng(2).normal(size=40)
before = w.copy()


def residual(i):
    return a[i] @ w.reshape(-1).astype(float) + float(x.sum()) - .75 - b[i]


def by_hand(keys, fraction):
    order = np.lexsort((np.arange(6), -np.abs(before.reshape(-1)), -keys))
    kept = np.zeros(6)
    kept[order[:math.floor(6 * fraction + .5)]] = 1
    return np.mean((a @ (before.reshape(-1).astype(float) * kept) - b) ** 2)


o = P.Objective([("w", w, "weight"), ("x", x, "bias")], lambda i: residual(i) ** 2, 40,
                nonnegative=True, hessian_vector=lambda i, v: np.append(
                    2 * a[i].T @ (a[i] @ v[:6] + v[6:].sum()), [0, 0]),
                gradient=lambda i: [2 * a[i].T @ residual(i), np.full(2, 2 * residual(i).sum())])
everything = np.arange(40)
single = np.stack([2 * a[i] * residual([i]) for i in everything])
flat = w.reshape(-1).astype(float)
scores = {"magnitude": np.abs(flat), "taylor": np.abs(flat * single.mean(0)),
          "fisher": flat ** 2 * (single ** 2).mean(0),
          "lamp": [flat[i] ** 2 / (flat[np.abs(flat) >= abs(flat[i])] ** 2).sum() for i in range(6)]}
for name, wanted in scores.items():
    found = P.prune_scores(o, score=name)
    assert list(found) == ["w"] and found["w"].shape == (2, 3), name
    assert np.allclose(found["w"].reshape(-1), wanted, rtol=1e-4), name
assert set(P.prune_scores(o, score="random", include_biases=True)) == {"w", "x"}
diagonal = P.hessian_diagonal(o, probes=2000)
assert np.allclose(diagonal.values["w"].reshape(-1), (2 * a ** 2).mean(0), atol=.2), diagonal
keys = np.array([0, -math.inf, 5, math.inf, 0, 1], np.float32)
points = [0, .2, .5, .9]
for given in (keys, {"w": keys.reshape(2, 3)}):
    curve = P.loss_curve(o, scores=given, fractions=points)
    assert np.allclose(curve.losses, [by_hand(keys, f) for f in points]), curve
    search = P.prunability(o, scores=given, fractions=points, beta=[.1, 5], resamples=200)
    for answer in search.answers:
        good = [f for f in points if by_hand(keys, f) <= answer.threshold] + [1]
        assert answer.kept_fraction == good[0], search
        assert {answer.lower, answer.upper} <= {*points, 1} and answer.standard_error >= 0, search
assert math.isnan(P.prunability(o).answers[0].lower)
for options, text in (({"fractions": [.5, .5]}, "fractions[1]"), ({"scores": keys[:3]}, "one number"),
                      ({"scores": {"w": keys}}, "has shape (2, 3)"),
                      ({"scores": keys, "method": "random"}, "exclude")):
    try:
        P.prunability(o, **options)
    except (P.Error, ValueError) as error:
        assert text in str(error), error
    else:
        assert False, options
assert np.array_equal(w, before)
print("as by hand")
END
(cd "$work/copy" && XDG_CACHE_HOME=$work/cache CC="$cc" exec "$python" -B ranked.py) > "$work/out1" 2>&1
check "scores, fractions and intervals of arrays" sh -c "tail -n 20 '$work/out1'
    [ \"\$(tail -n 1 '$work/out1')\" = 'as by hand' ]"
rm "$work/copy/prunability.h"
(cd "$work/copy" && XDG_CACHE_HOME=$work/cache exec "$python" -B main.py) > "$work/out1" 2>&1
check "no header" grep -q 'copy the header there' "$work/out1"

finish
