#!/bin/sh
# Runs test programs under a sanitizer, under Valgrind or with coverage counters.
#
#   [CC=cc] sh tests/sanitize.sh address    sanitizers of addresses, leaks and undefined behaviour,
#                                           with conversions of floats and alignment; fuzzers too
#   [CC=cc] sh tests/sanitize.sh thread     thread sanitizer, without OpenMP: two contexts at once
#   [CC=clang] sh tests/sanitize.sh memory  memory sanitizer: values that were never set
#   [CC=cc] sh tests/sanitize.sh valgrind   Memcheck and its search for leaks
#   [CC=gcc] sh tests/sanitize.sh coverage  lines and branches of prunability.h that tests reach;
#                                           fails below 95 % of lines
#
# Further arguments name the test programs to run, such as test_csv; by default, all that suit the
# tool. They run in parallel, by tests/run.sh. The last line is "N passed, N failed"; if the tool
# does not work here, "sanitize: 0 passed, 0 failed, 1 skipped", after the reason.

# shellcheck disable=SC2046,SC2086 # lists and flags are split into words on purpose

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
cd "$here/.." || exit 1
mkdir -p build || exit 1 # where tests make their files
mode=$1
[ $# -eq 0 ] || shift

# names FILE...: of test programs
names() {
    for file in "$@"; do basename "$file" .c; done
}

longer="test_checkpoint test_evaluate test_failures test_hessian test_hessian_differences
    test_measure test_norms test_output test_resample test_run test_safetensors test_singular
    test_spectrum test_tangent"
longest=test_conv
printf '%s\n' $longer $longest > "$work/longer"
quick=$(names tests/test_*.c | grep -vxF -f "$work/longer")
run='' # what runs a program
case $mode in
address)
    flags='-O1 -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all'
    tests="$longer $quick $(names tests/fuzz/fuzz_*.c)"
    ;;
thread)
    flags='-O1 -fsanitize=thread -DPRUNABILITY_NO_OPENMP'
    tests=test_threads
    ;;
memory)
    cc=${CC:-clang}
    flags='-O1 -fsanitize=memory -fsanitize-memory-track-origins'
    tests="$quick test_safetensors test_checkpoint test_resample"
    ;;
valgrind)
    flags=-O1
    tests="test_bindings test_build test_core test_csv test_dataset test_file test_net test_npy
        test_objective test_perturb test_rng test_stats test_table test_train"
    run='valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite'
    ;;
coverage)
    cc=${CC:-gcc}
    flags='-O1 --coverage -fprofile-update=prefer-atomic' # -O0 takes hours
    openmp_works && flags="$flags -fopenmp"
    tests="$longer golden_check $longest $quick"
    ;;
*)
    echo "sanitize.sh: MODE is address, thread, memory, valgrind or coverage" >&2
    exit 2
    ;;
esac
flags="-g -fno-omit-frame-pointer $flags"
[ $# -gt 0 ] || set -- $tests

printf '#include <stdio.h>\nint main(void) { return puts("works") < 0; }\n' > "$work/probe.c"
if ! $cc $flags "$work/probe.c" -o "$work/probe" > "$work/log" 2>&1 ||
    ! $run "$work/probe" >> "$work/log" 2>&1; then
    skip "$mode: $cc $run ${flags##* } does not work here"
    tail -n 3 "$work/log"
    finish
    exit
fi

if ! $cc $flags -c tests/implementation.c -o "$work/implementation.o" ||
    ! ar rc "$work/tests.a" "$work/implementation.o"; then
    fail 'the library does not build'
    finish
    exit
fi

# command_for NAME: builds a test program, with the library unless it brings its own, and runs it
command_for() {
    files="tests/$1.c $work/tests.a"
    arguments=''
    case $1 in
    golden_check) arguments='--spectra no tests/golden/*.safetensors' ;;
    test_evaluate) files="-include tests/linked.h $files" ;;
    fuzz_graph) # uses private names, and is slower than the fuzzers of files
        files=tests/fuzz/$1.c
        arguments='--runs 4000'
        ;;
    fuzz_*)
        files="-include tests/linked.h tests/fuzz/$1.c $work/tests.a"
        arguments='--runs 100000'
        ;;
    esac
    echo "sh -c '$cc $flags $files -o $work/$1 -lm -pthread && $run $work/$1 $arguments'"
}

# uncovered: reads the output of gcov for all programs; prints the lines that no program reached, by
# section and function, and the totals: "lines COVERED OF branches TAKEN OF"
uncovered() {
    awk -F : '
        function close_range() {
            if (first) printf "    %-44s %d to %d\n", name, first, final
            first = 0
        }
        FNR == NR { # the header itself
            if (/^\/\* \[/) { heading = substr($0, 4); sub(/\].*/, "]", heading) }
            section_of[FNR] = heading
            next
        }
        /^ *-: *0:Source:/ { here = $4 ~ /prunability\.h$/ }
        !here { next }
        /^function / { split($0, word, " "); pending = word[2]; next }
        /^branch / {
            split($0, word, " ")
            branches[line ":" branch++] += word[3] == "taken" ? word[4] : 0
            next
        }
        /^ *([0-9]+\*?|#####|-): *[0-9]+:/ {
            line = $2 + 0
            branch = 0
            if (pending != "" && line > 0) { begins[line] = pending; pending = "" }
            if (line == 0 || $1 ~ /-/) next
            hits[line] += $1 ~ /#/ ? 0 : $1 + 0
            if (line > last) last = line
        }
        END {
            for (line = 1; line <= last; line++) {
                if (line in begins) { close_range(); name = begins[line] }
                if (!(line in hits)) continue
                lines++
                if (hits[line] > 0) { covered++; close_range(); continue }
                if (section_of[line] != section) {
                    close_range()
                    section = section_of[line]
                    print section
                }
                if (!first) first = line
                final = line
            }
            close_range()
            for (key in branches) { total++; taken += branches[key] > 0 }
            print "lines", covered + 0, lines + 0, "branches", taken + 0, total + 0
        }' prunability.h -
}

commands=$(for name in "$@"; do command_for "$name"; done)
(
    # one command per line
    IFS='
'
    set -f
    sh tests/run.sh $commands
)
status=$?
[ $mode = coverage ] || exit $status

echo
for counts in "$work"/*.gcda; do gcov -b -c -t "$counts" 2> /dev/null; done |
    uncovered > "$work/report"
sed '$d' "$work/report"
tail -n 1 "$work/report" | while read -r _ covered lines _ taken branches; do
    printf 'coverage: %d of %d lines (%d.%d %%), %d of %d branches (%d.%d %%)\n' \
        "$covered" "$lines" $((covered * 100 / lines)) $((covered * 1000 / lines % 10)) \
        "$taken" "$branches" $((taken * 100 / branches)) $((taken * 1000 / branches % 10))
    [ $status -eq 0 ] && [ $((covered * 100)) -ge $((95 * lines)) ]
done
