#!/bin/sh
# Fuzzes the loaders, and with random networks (FORMAT "graph") the rest of the interface, with
# libFuzzer under the address and undefined-behaviour sanitizers.
#
#   sh tests/fuzz/run.sh [RUNS [FORMAT...]]      a million inputs of every format
#
# A network takes far longer than a file, so the target's own generator draws only a tenth of RUNS,
# with one process per processor (a hundred thousand networks take about 40 minutes on one), and
# libFuzzer chooses a thousandth of RUNS. Needs clang with its runtime (apt-get install clang
# libclang-rt-14-dev). Programs and corpora go to build/fuzz; the seeds come from the targets
# themselves. Inputs that libFuzzer keeps are stored in build/fuzz/FORMAT.corpus, where a later run
# starts. An input that fails is stored in build/fuzz/FORMAT-crash-..., and build/fuzz/FORMAT FILE
# runs it again. The last line is "fuzz: N passed, N failed", one per format.

cd "$(dirname "$0")/../.." || exit 1
runs=${1:-1000000}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_\(.*\)\.c|\1|')
clang=${CLANG:-clang}
sanitizers='-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined
    -fno-sanitize-recover=undefined'
flags="$sanitizers -fsanitize=fuzzer -DFUZZ_LIBFUZZER"
mkdir -p build/fuzz
passed=0
failed=0

# draw PROGRAM RUNS: runs networks of its own choice, an equal number on each processor
draw() {
    cores=$(getconf _NPROCESSORS_ONLN 2> /dev/null || echo 1)
    share=$((($2 + cores - 1) / cores))
    drawing=
    i=0
    while [ "$i" -lt "$cores" ]; do
        "$1" --first $((i * share)) --runs "$share" > "$1.$i.log" 2>&1 &
        drawing="$drawing $!"
        i=$((i + 1))
    done
    bad=0
    for process in $drawing; do
        wait "$process" || bad=1
    done
    tail -n 12 "$1".*.log
    return "$bad"
}

for format in "$@"; do
    source=tests/fuzz/fuzz_$format.c
    program=build/fuzz/$format
    corpus=$program.corpus
    mkdir -p "$corpus"
    # shellcheck disable=SC2086 # flags are words
    if ! $clang -O1 "$source" -o "$program-seeds" -lm || ! "$program-seeds" --seeds "$corpus" ||
        ! $clang $flags "$source" -o "$program" -lm; then
        failed=$((failed + 1))
        continue
    fi
    inputs=$runs
    if [ "$format" = graph ]; then
        inputs=$((runs / 1000))
        # shellcheck disable=SC2086 # flags are words
        if ! $clang $sanitizers "$source" -o "$program-drawn" -lm ||
            ! draw "$program-drawn" $((runs / 10)); then
            failed=$((failed + 1))
            continue
        fi
    fi
    printf '== %s: %s inputs\n' "$format" "$inputs"
    if "$program" -runs="$inputs" -seed="${SEED:-1}" -max_len=16384 -timeout=10 -rss_limit_mb=1024 \
        -artifact_prefix="$program-" -print_final_stats=1 -close_fd_mask=1 "$corpus" \
        > "$program.log" 2>&1; then
        passed=$((passed + 1))
        grep -E '^(stat::number_of_executed_units|stat::average_exec_per_sec|Done)' "$program.log"
    else
        failed=$((failed + 1))
        tail -n 40 "$program.log"
    fi
done

printf 'fuzz: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
