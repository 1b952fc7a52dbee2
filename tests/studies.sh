#!/bin/sh
# The study programs on tiny grids: the same rows, but for timings, with 1 and 2 threads, any number of
# jobs, in shards, and after kill -9, also in the middle of a training; finished models stay as they
# are.
#
#   [CC=cc] sh tests/studies.sh [PROGRAM...]      names without .c, all by default
#
# The last line is "studies: N passed, N failed".

cd "$(dirname "$0")/.." || exit 1
cc=${CC:-cc}
work=$(mktemp -d "${TMPDIR:-/tmp}/prunability-studies.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# threads that wait for work must not keep the others from theirs
export OMP_WAIT_POLICY=passive

passed=0
failed=0
skipped=0

# check NAME COMMAND...
check() {
    title=$1
    shift
    if "$@" > "$work/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n' "$title"
        tail -n 20 "$work/log"
    fi
}

# fails STATUS TEXT COMMAND...: ends with that status and a message that holds the text
fails() {
    wanted=$1
    text=$2
    shift 2
    "$@" > "$work/out" 2>&1 < /dev/null
    [ $? -eq "$wanted" ] && grep -q -e "$text" "$work/out" || { cat "$work/out"; return 1; }
}

# rows FILE: without the columns of seconds
rows() {
    awk -F, -v OFS=, '
        FNR == 1 { for (i = 1; i <= NF; i++) timing[i] = $i ~ /^seconds/ }
        {
            line = ""
            for (i = 1; i <= NF; i++) if (!timing[i]) line = line (line == "" ? "" : OFS) $i
            print line
        }' "$1"
}

# same DIRECTORY: its rows are those of the first run
same() {
    rows "$1/models.csv" > "$work/other"
    diff "$work/rows" "$work/other" | cut -c 1-300
    cmp -s "$work/rows" "$work/other" && [ "$(wc -l < "$work/rows")" -gt 2 ]
}

# same_figures DIRECTORY DIRECTORY: the same figures, at least one
same_figures() {
    ls "$1"/*.svg || return 1
    for figure in "$1"/*.svg; do
        cmp "$figure" "$2/${figure##*/}" || return 1
    done
}

# until_exists FILE PID: waits for the file while the program runs; the test is whether it came
until_exists() {
    while [ ! -s "$1" ] && kill -0 "$2" 2> /dev/null; do
        sleep 0.02
    done
    [ -s "$1" ]
}

# killed DIRECTORY FILE: starts the study there, and kills it when the file has come
killed() {
    $program --out "$1" $tiny $long > "$work/out" 2>&1 < /dev/null &
    pid=$!
    until_exists "$1/$2" "$pid"
    came=$?
    kill -9 "$pid" 2> /dev/null
    wait "$pid" 2> /dev/null
    [ "$came" -eq 0 ] || { cat "$work/out"; return 1; }
}

# second_row FILE PID
second_row() {
    while [ "$(cat "$1" 2> /dev/null | wc -l)" -lt 2 ] && kill -0 "$2" 2> /dev/null; do
        sleep 0.02
    done
}

# study NAME OPTIONS LONG CHECKPOINT: a tiny grid of three models or more; options that make the
# training long enough to be killed in; file that then appears in it ("": the program keeps none)
study() {
    name=$1
    tiny="--quiet --yes $2"
    long=
    if [ ! -f "examples/$name.c" ]; then
        echo "skip $name: no such program"
        skipped=$((skipped + 1))
        return
    fi
    program=$work/$name
    check "$name compiles" $cc -O2 -fopenmp "examples/$name.c" -o "$program" -lm
    [ -x "$program" ] || return

    check "$name: one thread" env OMP_NUM_THREADS=1 $program --out "$work/$name-1" $tiny
    rows "$work/$name-1/models.csv" > "$work/rows"
    check "$name: a report" grep -q 'held\|undecided\|did not hold\|not tested' \
        "$work/$name-1/report.md"
    check "$name: two threads, one job" env OMP_NUM_THREADS=2 $program --out "$work/$name-2" \
        --jobs 1 $tiny
    check "$name: two threads give the same rows" same "$work/$name-2"
    check "$name: three jobs" env OMP_NUM_THREADS=2 $program --out "$work/$name-3" --jobs 3 $tiny
    check "$name: three jobs give the same rows" same "$work/$name-3"

    for shard in 1 2 3; do
        check "$name: shard $shard" $program --out "$work/$name-4" --shard "$shard/3" $tiny
    done
    cat "$work/$name-4"/models.*of3.csv > "$work/$name-4/models.csv"
    check "$name: shards joined" $program --out "$work/$name-4" --collect $tiny
    check "$name: shards give the same rows" same "$work/$name-4"
    check "$name: and the same figures" same_figures "$work/$name-1" "$work/$name-4"

    # killed between models: the rows there are stay, timings and all, also without the last newline
    OMP_NUM_THREADS=1 $program --out "$work/$name-5" $tiny > /dev/null 2>&1 < /dev/null &
    pid=$!
    second_row "$work/$name-5/models.csv" "$pid"
    kill -9 "$pid" 2> /dev/null
    wait "$pid" 2> /dev/null
    head -n 2 "$work/$name-5/models.csv" | tail -n 1 > "$work/first"
    sed -n 2p "$work/$name-1/models.csv" | cut -c 1-40 | tr -d '\n' >> "$work/$name-5/models.csv"
    check "$name: killed and started again" $program --out "$work/$name-5" $tiny
    check "$name: gives the same rows" same "$work/$name-5"
    check "$name: and keeps the finished one" grep -qxF -f "$work/first" "$work/$name-5/models.csv"
    cp "$work/$name-5/models.csv" "$work/before"
    check "$name: with nothing to do" $program --out "$work/$name-5" $tiny
    check "$name: nothing is done" cmp "$work/before" "$work/$name-5/models.csv"

    if [ -n "$4" ]; then
        long=$3
        check "$name: long, in one go" $program --out "$work/$name-6" $tiny $long
        rows "$work/$name-6/models.csv" > "$work/rows"
        check "$name: killed in a training" killed "$work/$name-7" "$4"
        cp -r "$work/$name-7" "$work/$name-9"
        for file in "$work/$name-9"/checkpoints/*.safetensors; do
            printf 'damaged' > "$file"
        done
        check "$name: uses the checkpoint: a damaged one is an error" fails 1 'checkpoint' \
            $program --out "$work/$name-9" $tiny $long
        check "$name: goes on from the checkpoint" $program --out "$work/$name-7" $tiny $long
        check "$name: with the same rows" same "$work/$name-7"
        check "$name: removes the checkpoints" test -z "$(ls "$work/$name-7/checkpoints")"
        long=
    fi

    check "$name: rows of other settings are refused" fails 2 'other settings' \
        $program --out "$work/$name-1" $tiny --epochs 5
    check "$name: other columns are refused" fails 2 'other columns' \
        sh -c "mkdir '$work/$name-8'; echo a,b > '$work/$name-8/models.csv'
               exec $program --out '$work/$name-8' $tiny"
    check "$name: no shard 4/3" fails 2 'shard' $program --shard 4/3 $tiny
    check "$name: one preset" fails 2 'exclude' $program --demo --full --data . $tiny
    check "$name: the full preset wants its data" fails 2 'data' $program --full
    check "$name: makes missing parents of --out" \
        $program --collect --out "$work/$name-10/a/b/" $tiny
    check "$name: and has made them" test -s "$work/$name-10/a/b/models.csv"
    check "$name: says which directory cannot be made" fails 1 "models.csv/a: this directory" \
        $program --collect --out "$work/$name-1/models.csv/a" $tiny
    check "$name: --help" fails 0 'shard' $program --help
}

every="demogen double_descent prune_vs_perturb"
for name in ${*:-$every}; do
    case $name in
    demogen)
        study demogen "--width 4 --depth 2,3 --dropout 0 --l2 0 --augment 0,1 --seeds 1 \
            --images 64 --test-images 64 --epochs 3 --draws 2 --repetitions 2 --beta 0.1,0.5 \
            --resamples 50 --checkpoint 0" \
            "--epochs 60 --checkpoint 1" checkpoints/model3.safetensors
        ;;
    double_descent)
        study double_descent "--widths 1,2 --seeds 1,2 --images 64 --test-images 64 --epochs 3 \
            --draws 2 --repetitions 2 --steps 3 --hessian-images 32 --checkpoint 0" \
            "--epochs 60 --checkpoint 1" checkpoints/model3.safetensors
        ;;
    prune_vs_perturb)
        study prune_vs_perturb "--cnn-widths 1,2 --resnet-widths 1 --seeds 1,2 --images 64 \
            --test-images 64 --epochs 3 --grid 4 --draws 2 --checkpoint 0" \
            "--epochs 60 --checkpoint 1" checkpoints/model5.safetensors
        ;;
    esac
done

printf 'studies: %d passed, %d failed' "$passed" "$failed"
[ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
printf '\n'
[ "$failed" -eq 0 ]
