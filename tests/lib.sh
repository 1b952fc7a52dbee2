# lib.sh - common code of the test scripts: compilers, a work directory, counts, the last line. A
# script begins with
#
#   here=$(cd "$(dirname "$0")" && pwd)
#   . "$here/lib.sh"
#
# and ends with finish. Variables: suite (its name), cc, cxx, python, work (a directory that is
# removed at the end), and the counts passed, failed and skipped.
# shellcheck shell=sh
# shellcheck disable=SC2034 # the scripts use them

suite=$(basename "$0" .sh)
cc=${CC:-cc}
cxx=${CXX:-c++}
python=${PYTHON:-python3}
passed=0
failed=0
skipped=0
work=$(mktemp -d "${TMPDIR:-/tmp}/prunability-$suite.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

pass() {
    passed=$((passed + 1))
}

# fail NAME [FILE]: counts a failure, and shows the end of the file
fail() {
    failed=$((failed + 1))
    printf 'FAIL %s\n' "$1"
    [ $# -lt 2 ] || tail -n 30 "$2"
}

skip() {
    skipped=$((skipped + 1))
    printf 'skip %s\n' "$1"
}

# check NAME COMMAND...: runs and counts the command, shows its output if it fails, returns its
# success
check() {
    checked=$1
    shift
    if "$@" > "$work/log" 2>&1; then
        pass
        return 0
    fi
    fail "$checked" "$work/log"
    return 1
}

# openmp_works: whether the compiler accepts -fopenmp and can link it
openmp_works() {
    printf '#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n' > "$work/omp.c"
    $cc -fopenmp "$work/omp.c" -o "$work/omp" 2> /dev/null
}

# build_program SOURCE PROGRAM: compiles a program of the project. If make sets TESTS_LIBRARY, the
# program is compiled with TESTS_FLAGS and linked with that library; otherwise it contains the
# implementation
build_program() {
    if [ -n "$TESTS_LIBRARY" ]; then
        # shellcheck disable=SC2086 # flags are words
        $cc -O2 $TESTS_FLAGS -include "${TESTS_LIBRARY%/build/*}/tests/linked.h" "$1" \
            "$TESTS_LIBRARY" -o "$2" -lm
    elif openmp_works; then
        $cc -O2 -fopenmp "$1" -o "$2" -lm
    else
        $cc -O2 "$1" -o "$2" -lm
    fi
}

# build_library LIBRARY: builds the shared library, from the object of TESTS_LIBRARY if make sets it
build_library() {
    if [ -n "$TESTS_LIBRARY" ]; then
        # shellcheck disable=SC2086
        $cc -shared $TESTS_FLAGS "${TESTS_LIBRARY%/*}/implementation.o" -o "$1" -lm
    else
        $cc -shared -fPIC -O2 -DPRUNABILITY_IMPLEMENTATION -x c prunability.h -o "$1" -lm
    fi
}

# verdict NAME FILE: passes if FILE, a list of errors, is empty; otherwise shows its beginning
verdict() {
    if [ -s "$2" ]; then
        fail "$1"
        head -n 30 "$2"
    else
        pass
    fi
}

# has_python MODULE: sets python to one that has it, and returns whether there is one
has_python() {
    for python in "${PYTHON:-python3}" python3 /usr/bin/python3; do
        "$python" -c "import $1" 2> /dev/null && return
    done
    return 1
}

# find_python MODULE: sets python to one that has it; otherwise prints what to install and ends the
# script
find_python() {
    has_python "$1" && return
    skip "$suite: no Python here has $1 (apt-get install python3-${1%%.*})"
    finish
    exit
}

# Prints the counts as the last line; returns the exit status of the script.
finish() {
    printf '%s: %d passed, %d failed' "$suite" "$passed" "$failed"
    [ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
    printf '\n'
    [ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
}
