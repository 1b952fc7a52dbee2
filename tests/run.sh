#!/bin/sh
# Runs test programs side by side, one per processor, and adds up their results.
#
#   sh tests/run.sh COMMAND...       each COMMAND is a program with its arguments, as for a shell
#
# JOBS=N in the environment runs N at a time instead.
#
# The last line of a command's output is "NAME: N passed, N failed", optionally with ", N skipped".
# A command without that line, or one that fails although the line counts no failure, adds one
# failure. Results appear as commands end, with their run time; the output is shown if something
# failed. The last line of this script is the sum.

jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN 2> /dev/null || echo 1)}
work=$(mktemp -d) || exit 1
workers=
trap 'rm -rf "$work"' EXIT
# Background jobs of a shell ignore Ctrl-C, so this ends the workers, which end their commands.
trap 'kill $workers 2> /dev/null; wait; exit 130' HUP INT TERM

# Several programs share the processors: waiting threads must yield, not spin.
if [ "$jobs" -gt 1 ]; then
    export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
fi

# report COMMAND STATUS SECONDS OUTPUT-FILE: prints the result; "passed failed" go to fd 3
report() {
    summary=$(tail -n 1 "$4")
    # "passed failed", or nothing if the line is no summary
    counts=$(printf '%s\n' "$summary" | sed -n \
        's/^[^:]*: \([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed\(, [0-9][0-9]* skipped\)\{0,1\}$/\1 \2/p')
    more=0
    if [ -z "$counts" ]; then
        counts="0 0"
        more=1
        summary="$1: no result (exit status $2)"
    elif [ "$2" -ne 0 ] && [ "${counts#* }" -eq 0 ]; then
        more=1
        summary="$summary, but exit status $2"
    fi
    bad=$((${counts#* } + more))
    if [ "$bad" -ne 0 ]; then
        printf '%s\n' "---- $1"
        cat "$4"
        echo ----
    fi
    printf '%4d s  %s\n' "$3" "$summary"
    echo "${counts% *} $bad" >&3
}

# run_some COMMAND...: runs those that no other worker has taken; mkdir succeeds for one worker only
run_some() {
    child=
    trap '[ -z "$child" ] || kill "$child" 2> /dev/null; exit 1' TERM
    number=0
    for command in "$@"; do
        number=$((number + 1))
        mkdir "$work/$number" 2> /dev/null || continue
        start=$(date +%s)
        (eval "exec $command") > "$work/$number/output" 2>&1 < /dev/null &
        child=$!
        wait "$child"
        report "$command" $? $(($(date +%s) - start)) "$work/$number/output" \
            3> "$work/$number/counts" > "$work/$number/report"
        cat "$work/$number/report"
    done
}

worker=0
while [ "$worker" -lt "$jobs" ]; do
    worker=$((worker + 1))
    run_some "$@" &
    workers="$workers $!"
done
wait

cat "$work"/*/counts > "$work/counts"
awk -v commands=$# '
    { passed += $1; failed += $2 }
    END {
        failed += commands - NR # those that a killed worker left without a result
        printf "%d passed, %d failed\n", passed, failed
        exit failed > 0 || passed == 0
    }' "$work/counts"
