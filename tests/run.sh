#!/bin/sh
# Runs test programs and adds up their results.
#
#   sh tests/run.sh COMMAND...       each COMMAND is one shell command line
#
# The last line of a command's output is "NAME: N passed, N failed", optionally with ", N skipped".
# A command without it, or one that fails without saying so, counts as one failure more. Output is
# shown where something failed. The last line here is the sum.

passed=0
failed=0

for command in "$@"; do
    output=$(eval "$command" 2>&1)
    status=$?
    summary=$(printf '%s\n' "$output" | tail -n 1)
    # "passed failed", or nothing if the line is no summary
    counts=$(printf '%s\n' "$summary" | sed -n \
        's/^[^:]*: \([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed\(, [0-9][0-9]* skipped\)\{0,1\}$/\1 \2/p')
    more=0
    if [ -z "$counts" ]; then
        counts="0 0"
        more=1
        summary="$command: no result (exit status $status)"
    elif [ "$status" -ne 0 ] && [ "${counts#* }" -eq 0 ]; then
        more=1
        summary="$summary, but exit status $status"
    fi
    bad=$((${counts#* } + more))
    [ "$bad" -eq 0 ] || printf '%s\n' "---- $command" "$output" "----"
    printf '%s\n' "$summary"
    passed=$((passed + ${counts% *}))
    failed=$((failed + bad))
done

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
