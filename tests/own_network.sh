#!/bin/sh
# Networks of one's own, written by hand in C (tests/own_network.c) and in Python: each must find the
# same prunability as the same network made of the library's layers. The command lines of the Python
# examples.
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

if ! command -v "$python" > /dev/null; then
    skip "own_network.py: $python is not installed"
elif ! build_library "$work/libprunability.so" 2> "$work/log"; then
    fail "the shared library does not compile" "$work/log"
else
    agrees "own_network.py" "$python" examples/pytorch/own_network.py "$work/libprunability.so"
    ends "own_network.py where no data is" 1 "project's root" \
        sh -c "here=\$PWD; cd '$work'; exec '$python' \"\$here/examples/pytorch/own_network.py\""
fi
for script in own_network from_pytorch; do
    command -v "$python" > /dev/null || break
    ends "$script.py --help" 0 "$script.py" "$python" "examples/pytorch/$script.py" --help
    ends "$script.py --help on a full disk" 1 'No space\|closed' \
        sh -c "'$python' examples/pytorch/$script.py --help > /dev/full"
    "$python" -c 'import torch' 2> /dev/null || [ "$script" = own_network ] || continue
    ends "$script.py, an unknown option" 2 '--nonsense' "$python" "examples/pytorch/$script.py" --nonsense
    ends "$script.py, a file that is not there" 1 'there' \
        "$python" "examples/pytorch/$script.py" $([ $script = own_network ] && echo "$work/none.so" ||
            echo --load "$work/none.pt --program $python --measure none --out $work/make")
done

finish
