#!/bin/sh
# The study programs on tiny grids. Rows are the same, except for timings, with 1 and 2 threads, any
# number of jobs, in shards, and after kill -9, even in the middle of a training. Finished models
# are kept, damaged rows are replaced, a full disk ends the study with complete rows, and no
# temporary files remain.
#
#   [CC=cc] sh tests/studies.sh [PROGRAM...]      names without .c, all by default
#
# The last line is "studies: N passed, N failed".

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
cd "$here/.." || exit 1
trap 'umount "$work/disk" 2> /dev/null; rm -rf "$work"' EXIT

# threads that wait for work must not slow down the others
export OMP_WAIT_POLICY=passive

# fails STATUS TEXT COMMAND...: ends with that status and a message that contains the text
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
        FNR == 1 { for (i = 1; i <= NF; i++) timing[i] = $i ~ /^seconds|_seconds$/ }
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

# until_exists FILE PID: waits for the file while the program runs; succeeds if the file appeared
until_exists() {
    while [ ! -s "$1" ] && kill -0 "$2" 2> /dev/null; do
        sleep 0.02
    done
    [ -s "$1" ]
}

# killed DIRECTORY FILE: starts the study there, and kills it when the file appears
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

# whole FILE: all lines have as many cells as the first, and the last one ends in a newline
whole() {
    awk -F, 'NR == 1 { cells = NF } NF != cells { exit 1 }' "$1" && [ -z "$(tail -c 1 "$1")" ]
}

# nothing_temporary DIRECTORY
nothing_temporary() {
    [ -z "$(find "$1" -name '*.tmp')" ] || { find "$1" -name '*.tmp'; return 1; }
}

# damages NAME LINES AWK: a copy of the first run, whose rows the awk program damages; the study
# reports and recomputes the damaged rows, and keeps the others unchanged
damages() {
    rm -rf "$work/damaged"
    cp -r "$work/$name-1" "$work/damaged"
    awk -F, -v OFS=, "$3" "$work/$name-1/models.csv" | tr '@' '\000' > "$work/damaged/models.csv"
    [ -z "$4" ] || printf '%s' "$(cat "$work/damaged/models.csv")" > "$work/damaged/models.csv"
    check "$name: $1" fails 0 "damaged.models.csv: $2 damaged row" \
        $program --out "$work/damaged" $tiny
    check "$name: $1: the rows are whole again" same "$work/damaged"
    check "$name: $1: the damaged ones are set aside" \
        test -s "$work/damaged/models.csv.damaged"
    grep -xFf "$work/$name-1/models.csv" "$work/damaged/models.csv" > "$work/kept"
    # at least, because a recomputed row may have the same times by chance
    check "$name: $1: the others are kept" test "$(wc -l < "$work/kept")" -ge \
        $(($(wc -l < "$work/rows") - $2))
}

# full NAME LIMIT...: a run with a limit on what it may write; LIMIT is a shell command that runs
# before it
full() {
    check "$name: $1 ends it" fails 1 'when there is space' sh -c "$2; exec $program --out '$3' $tiny"
    check "$name: $1: whole rows" whole "$3/models.csv"
    check "$name: $1: nothing temporary" nothing_temporary "$3"
}

# stopped SIGNAL DIRECTORY SECONDS: sends the signal after that time, or when a temporary file is
# seen
stopped() {
    $program --out "$2" $tiny $long > "$work/out" 2>&1 < /dev/null &
    pid=$!
    if [ "$3" = temporary ]; then
        while kill -0 "$pid" 2> /dev/null && nothing_temporary "$2" > /dev/null 2>&1; do :; done
    else
        until_exists "$2/models.csv" "$pid" && sleep "$3"
    fi
    kill -"$1" "$pid"
    wait "$pid" 2> /dev/null
    status=$?
    cat "$work/out"
    [ "$status" -gt 128 ]
}

# study NAME OPTIONS LONG CHECKPOINT: a tiny grid of three models or more; options that make the
# training long enough to kill it midway; the file that appears during such a training ("" if the
# program writes no checkpoints)
study() {
    name=$1
    tiny="--quiet --yes $2"
    long=
    if [ ! -f "examples/studies/$name.c" ]; then
        skip "$name: no such program"
        return
    fi
    program=$work/$name
    check "$name compiles" build_program "examples/studies/$name.c" "$program"
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

    # killed between models: existing rows are kept with their timings, also without a final newline
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

    # a damaged row does not count as a finished model
    damages "cut after the key, too many cells" 2 \
        'NR == 2 { NF = 17 } NR == 3 { $0 = $0 ",1" } { print }'
    damages "quotes and words" 2 \
        'NR == 2 { $NF = "\"" $NF } NR == 3 { $(NF - 8) = "word" } { print }'
    damages "zero bytes, invalid numbers" 3 \
        'NR == 2 { $(NF - 8) = "@@" } NR == 3 { $(NF - 9) = "-" } NR == 4 { $3 = "3-" } { print }'
    damages "no newline at the end" 1 '{ print }' cut
    damages "a row of the file in front of another one" 1 \
        'NR == 3 { printf "%s", substr($0, 1, 60) } { print }'
    cp -r "$work/$name-4" "$work/$name-11"
    sed '2s/,[^,]*$//' "$work/$name-4/models.2of3.csv" > "$work/$name-11/models.2of3.csv"
    rm "$work/$name-11/models.csv"
    incomplete=1 # demogen evaluates the models that are there
    [ "$name" = demogen ] && incomplete=0
    check "$name: a damaged row of a shard is not merged" fails $incomplete '1 damaged row' \
        sh examples/cluster/merge.sh $program --out "$work/$name-11" $tiny
    check "$name: the shard again" fails 0 '1 damaged row' \
        $program --out "$work/$name-11" --shard 2/3 $tiny
    check "$name: merged" sh examples/cluster/merge.sh $program --out "$work/$name-11" $tiny
    check "$name: merged, with the same rows" same "$work/$name-11"

    # a disk that is full
    size=$(head -n 2 "$work/$name-1/models.csv" | wc -c)
    full "a limit of file sizes" "ulimit -f $(((size + 200) / 512 + 1))" "$work/$name-12"
    check "$name: a limit of file sizes: some rows, not all" \
        test "$(wc -l < "$work/$name-12/models.csv")" -gt 1 -a \
        "$(wc -l < "$work/$name-12/models.csv")" -lt "$(wc -l < "$work/rows")"
    check "$name: goes on when there is room" $program --out "$work/$name-12" $tiny
    check "$name: and has the same rows" same "$work/$name-12"
    mkdir -p "$work/disk"
    if mount -t tmpfs -o size=$(((size + 4095) / 4096 * 4))k none "$work/disk" 2> /dev/null; then
        full "a full disk" : "$work/disk"
        mount -o remount,size=1m "$work/disk"
        check "$name: goes on when the disk has room" $program --out "$work/disk" $tiny
        check "$name: and has the same rows" same "$work/disk"
        umount "$work/disk"
    else
        skip "$name on a full disk: no right to mount one"
    fi

    # files that killed runs left behind
    (exit 0) &
    gone=$!
    wait "$gone"
    left="$work/$name-1/checkpoints"
    mkdir -p "$left"
    for file in model0.safetensors model0.history ".model0.history.$gone-0123456789abcdef.tmp" \
        "../.models.csv.$gone-0123456789abcdef.tmp" "../.a.svg.$gone-0123456789abcdef.tmp"; do
        echo left > "$left/$file"
    done
    for file in model0.safetensors.old notes model999999.history \
        ".model0.history.$$-0123456789abcdef.tmp" \
        "../.other.$gone-0123456789abcdef.tmp" "../.models.2of3.csv.$gone-0123456789abcdef.tmp" \
        "../.a.csv.$gone.tmp"; do
        echo stays > "$left/$file"
    done
    check "$name: a run with leftover files in its directories" $program --out "$work/$name-1" $tiny
    check "$name: leftover files are removed" test -z "$(grep -rlx left "$work/$name-1")"
    check "$name: all other files stay" test "$(grep -rlx stays "$work/$name-1" | wc -l)" -eq 7
    find "$work/$name-1" -name '*.tmp' -exec rm {} +

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
        check "$name: the message names the file" grep -q 'checkpoints/model.*delete it' "$work/out"
        cp -r "$work/$name-7/checkpoints" "$work/checkpoints"
        check "$name: does not overwrite a checkpoint of other settings" fails 2 'other settings' \
            $program --out "$work/$name-7" $tiny $long --batch 16
        check "$name: nor of other kernels" fails 2 'kernels' \
            $program --out "$work/$name-7" $tiny $long --isa portable
        cp -r "$work/$name-7" "$work/$name-unreadable"
        for file in "$work/$name-unreadable"/checkpoints/*.history; do
            ln -sf "${file##*/}" "$file"
        done
        check "$name: nor one whose history cannot be read" fails 2 'history: cannot be read' \
            $program --out "$work/$name-unreadable" $tiny $long
        check "$name: which is still there" test -L "$file"
        rm -f "$work"/checkpoints/.*.tmp "$work/$name-7"/checkpoints/.*.tmp
        check "$name: which stays as it was" diff -r "$work/$name-7/checkpoints" "$work/checkpoints"
        rm -rf "$work/checkpoints"
        check "$name: goes on from the checkpoint" $program --out "$work/$name-7" $tiny $long
        check "$name: with the same rows" same "$work/$name-7"
        check "$name: removes the checkpoints" test -z "$(ls "$work/$name-7/checkpoints")"
        for seconds in 0.05 0.1 0.2 0.3; do
            check "$name: SIGTERM" stopped TERM "$work/$name-13" $seconds
            check "$name: says how to resume" grep -q 'run the same command again' "$work/out"
            check "$name: SIGTERM leaves nothing temporary" nothing_temporary "$work/$name-13"
        done
        for turn in 1 2 3; do
            check "$name: SIGTERM while a file is written" stopped TERM "$work/$name-13" temporary
            check "$name: leaves nothing temporary" nothing_temporary "$work/$name-13"
        done
        check "$name: kill -9 while a file is written" stopped 9 "$work/$name-13" temporary
        check "$name: resumes after all of it" $program --out "$work/$name-13" $tiny $long
        check "$name: nothing temporary at the end" nothing_temporary "$work/$name-13"
        check "$name: and the same rows" same "$work/$name-13"
        check "$name: no checkpoints either" test -z "$(ls "$work/$name-13/checkpoints")"
        check "$name: a limit of file sizes, for a checkpoint" fails 1 'when there is space' \
            sh -c "ulimit -f 8; exec $program --out '$work/$name-14' $tiny $long"
        check "$name: leaves no row" test "$(wc -l < "$work/$name-14/models.csv")" -eq 1
        check "$name: goes on when there is room" $program --out "$work/$name-14" $tiny $long
        check "$name: and has the same rows" same "$work/$name-14"
        long=
    fi

    check "$name: rows of other settings are refused" fails 2 'other settings' \
        $program --out "$work/$name-1" $tiny --epochs 5
    check "$name: other columns are refused" fails 2 'columns that differ' \
        sh -c "mkdir '$work/$name-8'; echo a,b > '$work/$name-8/models.csv'
               exec $program --out '$work/$name-8' $tiny"
    check "$name: no shard 4/3" fails 2 'shard' $program --shard 4/3 $tiny
    check "$name: one preset" fails 2 'exclude' $program --demo --full --data . $tiny
    check "$name: the full preset requires its data" fails 2 'data' $program --full
    check "$name: makes missing parents of --out, where no rows are" fails 1 'model' \
        $program --collect --out "$work/$name-10/a/b/" $tiny
    check "$name: and has made them" test -s "$work/$name-10/a/b/models.csv"
    check "$name: says which directory cannot be made" fails 1 "models.csv/a: cannot make the directory" \
        $program --collect --out "$work/$name-1/models.csv/a" $tiny
    check "$name: --help" fails 0 'shard' $program --help
}

# kernels NAME: rows of other kernels are evaluated, but none are added to them; run after study
# NAME
kernels() {
    name=$1
    program=$work/$name
    [ -x "$program" ] || return
    check "$name: --isa portable" $program --out "$work/$name-isa" --isa portable $2
    check "$name: its rows say so" grep -q ',portable\(,\|$\)' "$work/$name-isa/models.csv"
    check "$name: its report says so" grep -q 'kernels portable' "$work/$name-isa/report.md"
    check "$name: no such kernels" fails 2 'the best here' $program --isa nonsense $2
    sed '$d' "$work/$name-isa/models.csv" > "$work/before"
    cp "$work/before" "$work/$name-isa/models.csv"
    if ! grep -q ',portable\(,\|$\)' "$work/$name-1/models.csv"; then
        check "$name: rows of other kernels are not resumed" fails 2 'give --isa portable' \
            $program --out "$work/$name-isa" $2
        check "$name: nor changed" cmp "$work/before" "$work/$name-isa/models.csv"
    else
        skip "$name: rows of other kernels: there is one kind here"
    fi
    check "$name: rows of the same kernels are" $program --out "$work/$name-isa" --isa portable $2
    check "$name: rows of other kernels are evaluated" \
        $program --out "$work/$name-isa" --collect $2
}

# all_measures NAME OPTIONS: a grid of three models or more with every measure
all_measures() {
    name=$1
    tiny="--quiet --yes --measures all $2"
    program=$work/$name
    [ -x "$program" ] || return
    check "$name: all measures" $program --out "$work/$name-all" --jobs 1 $tiny
    check "$name: and the disagreement of seeds" grep -q 'disagreement of seeds' \
        "$work/$name-all/report.md"
    rows "$work/$name-all/models.csv" > "$work/rows"
    check "$name: three jobs" $program --out "$work/$name-all-3" --jobs 3 $tiny
    check "$name: three jobs give the same rows" same "$work/$name-all-3"
    check "$name: and the same figures" same_figures "$work/$name-all" "$work/$name-all-3"
    cp "$work/$name-all/models.csv" "$work/before"
    check "$name: the same command again" $program --out "$work/$name-all" $tiny
    check "$name: leaves its rows as they are" cmp "$work/before" "$work/$name-all/models.csv"
}

# undefined FILE...: none of them contains nan or inf as a word
undefined() {
    ! grep -niE '(^|[^a-z])[-+]?(nan|inf)([^a-z]|$)' "$@"
}

# columns NAME OPTIONS: values so close that their columns would have one name
columns() {
    check "$1 $2 $3: too close" fails 2 'too close' "$work/$1" "$2" "$3" --out "$work/$1-close"
    check "$1: nothing was made for it" test ! -e "$work/$1-close"
}

# few_widths NAME OPTIONS: claims for which there is not enough data
few_widths() {
    name=$1
    program=$work/$name
    [ -x "$program" ] || return
    check "$name: too many images for the Hessian" fails 2 'only 32 training images' \
        $program --out "$work/$name-few" $2 --hessian-images 33
    check "$name: two widths" $program --out "$work/$name-few" $2 --widths 1,2 --seeds 1,2
    check "$name: have no peak" test \
        "$(grep -c 'a peak needs at least three widths.*not tested' "$work/$name-few/report.md")" \
        -eq 2
    check "$name: nothing undefined" undefined "$work/$name-few"/*.md
    awk -F, -v OFS=, '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
        NR > 1 { $at["prunability"] = 0.5 }
        NR == 2 { for (i = at["train_loss"]; i < at["status"]; i++) $i = ""; $at["status"] = "lost" }
        { print }' "$work/$name-few/models.csv" > "$work/other"
    cp "$work/other" "$work/$name-few/models.csv"
    check "$name: equal values, and a model that diverged" $program --out "$work/$name-few" \
        --collect $2 --widths 1,2 --seeds 1,2
    check "$name: equal values are not tested" grep -q \
        'correlated with the test loss.*all have the same value | not tested' \
        "$work/$name-few/report.md"
    check "$name: the model is named" grep -q 'left out: width 1, seed 1 (lost)' \
        "$work/$name-few/report.md"
}

# questions NAME OPTIONS: what open_questions refuses before it trains, and its report without some
# of the models, or any; run after study NAME
questions() {
    name=$1
    program=$work/$name
    few="--quiet --yes $2"
    out=$work/$name-few
    [ -x "$program" ] || return

    check "$name: too many images for the Hessian" fails 2 'only 32 training images' \
        $program --out "$out-none" $few --hessian-images 33
    check "$name: a single resample" fails 2 '0, or at least 2' \
        $program --out "$out-none" $few --resamples 1
    check "$name: places whose columns have the same name" fails 2 'too close' \
        $program --out "$out-none" $few --places 0.5,0.50000001
    check "$name: nothing was trained for them" test ! -e "$out-none"
    check "$name: no checkpoints" fails 2 'unknown option' $program $few --checkpoint 1

    for places in 2 0,0.5,1; do
        check "$name: --places $places" $program --out "$out-$places" $few --places $places
        check "$name: --places $places: only 0.5" grep -q 'steps,.*,share_50_0.5,noise_50_0.5,status' \
            "$out-$places/models.csv"
    done
    check "$name: --places dense" $program --out "$out-dense" $few --places dense
    check "$name: --places 1: nothing to test" fails 0 '--places  *not tested' \
        $program --out "$out-1" $few --places 1
    check "$name: one seed: no interval" fails 0 'needs results of two seeds  *not tested' \
        $program --out "$out-one" $few --seeds 1
    check "$name: one seed: nothing undefined" undefined "$out-one"/*.md "$out-one"/*.csv

    check "$name: strengths that ascend" $program --out "$out-up" $few --targeted 0.1,0.5,0.9
    check "$name: and in another order" $program --out "$out-down" $few --targeted 0.9,0.1,0.5
    rows "$out-up/models.csv" > "$work/rows"
    check "$name: give the same rows" same "$out-down"
    check "$name: the same claims" cmp "$out-up/claims.csv" "$out-down/claims.csv"
    check "$name: and the same table" cmp "$out-up/goodhart.csv" "$out-down/goodhart.csv"
    check "$name: and name the greatest" grep -q 'greatest strength, 0.9' "$out-down/claims.csv"

    check "$name: all models diverge" $program --out "$out-lost" $few --lr 1e6
    check "$name: it says so" grep -q '^10 of 10 models diverged' "$out-lost/report.md"
    check "$name: and tests nothing" test "$(grep -c 'not tested |$' "$out-lost/report.md")" -eq 12
    check "$name: nothing undefined" undefined "$out-lost"/*.md "$out-lost"/[cgs]*

    # the first plain model, and all with the penalty on |w|
    check "$name: all models are there" $program --out "$out-some" $few
    awk -F, -v OFS=, '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
        NR == 2 || $at["method"] == "sparsity" {
            for (i = at["train_loss"]; i < at["status"]; i++) $i = ""
            $at["status"] = "epoch 1: not finite"
        }
        { print }' "$out-some/models.csv" > "$work/other"
    cp "$work/other" "$out-some/models.csv"
    check "$name: some models diverged" $program --out "$out-some" --collect $few
    check "$name: how many" grep -q '^3 of 10 models diverged' "$out-some/report.md"
    check "$name: which, and why" grep -qF -e \
        '- penalty on |w|, strength 0.001, width 2, seeds 1, 2: epoch 1: not finite' \
        "$out-some/report.md"
    check "$name: the chance is still known" grep -q '^2,0.5,50,1,.*,0\.[0-9]*,[0-9.e-]*,,$' \
        "$out-some/spans.csv"
    check "$name: and nothing undefined" undefined "$out-some"/*.md "$out-some"/[cgs]*
}

# prune_verdicts: what prune_vs_perturb does without enough data
prune_verdicts() {
    program=$work/prune_vs_perturb
    tiny="--quiet --yes --images 64 --test-images 64 --epochs 2 --draws 2 --checkpoint 0"
    [ -x "$program" ] || return
    check "prune_vs_perturb: one seed" $program --out "$work/prune-one" $tiny --draws 1 \
        --fractions 5 --cnn-widths 2 --resnet-widths 1,2 --seeds 1
    check "prune_vs_perturb: one seed tests nothing" \
        test "$(grep -c ',not tested$' "$work/prune-one/claims.csv")" -eq \
        $(($(wc -l < "$work/prune-one/claims.csv") - 1))
    check "prune_vs_perturb: and says why" \
        grep -q 'one seed has no standard error' "$work/prune-one/report.md"
    check "prune_vs_perturb: no undefined numbers" undefined "$work/prune-one"/*.md "$work/prune-one/claims.csv"
    check "prune_vs_perturb: diverged models" fails 0 'left out: CNN, width 1, seed 1: ' \
        $program --out "$work/prune-lost" $tiny --fractions 5 --lr 1000 --cnn-widths 1 \
        --resnet-widths 1 --seeds 1,2,3
    check "prune_vs_perturb: their rows say so" \
        fails 0 '^cnn,.*,the training loss of the trained network is not finite,' \
        cat "$work/prune-lost/models.csv"
    check "prune_vs_perturb: the report counts them" \
        grep -q 'diverged: CNN, width 1: 3 of 3 models (seeds 1, 2, 3)' \
        "$work/prune-lost/report.md"
    check "prune_vs_perturb: diverged models: no undefined numbers" undefined "$work/prune-lost"/*.md "$work/prune-lost/claims.csv"
    check "prune_vs_perturb: one kept fraction" $program --out "$work/prune-half" $tiny \
        --fractions 0.5 --arch cnn --cnn-widths 1 --seeds 1,2
    check "prune_vs_perturb: is used" grep -q 'over one share; less' "$work/prune-half/report.md"
    # a model that an older version saved as "ok", although its loss is not finite
    awk -F, -v OFS=, 'NR == 1 { for (i = 1; $i != "train_magnitude_loss_1"; i++); }
                      NR == 2 { $i = "" } { print }' "$work/prune-half/models.csv" > "$work/edited"
    cp "$work/edited" "$work/prune-half/models.csv"
    check "prune_vs_perturb: no loss, but ok" fails 0 'left out: CNN, width 1, seed 1: ' \
        $program --out "$work/prune-half" $tiny --fractions 0.5 --arch cnn --cnn-widths 1 --seeds 1,2
    check "prune_vs_perturb: leaves one model" \
        grep -q 'one model has no standard error' "$work/prune-half/report.md"
    for list in 1 1.0 0,1; do
        check "prune_vs_perturb: --fractions $list" fails 2 'at least one kept fraction' \
            $program --out "$work/prune-none" $tiny --fractions $list
    done
    check "prune_vs_perturb: kept fractions of one name" fails 2 'too close' \
        $program --out "$work/prune-none" $tiny --fractions 0.9999999,0.99999991
    check "prune_vs_perturb: nothing was trained" test ! -e "$work/prune-none"
}

# agrees CLAIM TABLE COLUMN: whether the difference of prunability and robustness in demogen's claim
# is that of their cells in the table, but for rounding
agrees() {
    found=$(sed -n "s/.*$1.*prunability, beta 0.1 minus random perturbation robustness \([-+.0-9]*\) .*/\1/p" \
        "$work/demogen-6/claims.csv")
    sed 's/^"prunability, beta 0.1"/prunability/' "$work/demogen-6/$2" | awk -F, -v found="$found" \
        -v column="$3" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i }
        $1 == "prunability" { d += $at; seen++ }
        $1 == "random perturbation robustness" { d -= $at; seen++ }
        END { d -= found; exit !(found != "" && seen == 2 && d < 0.0016 && d > -0.0016) }'
}

every="demogen double_descent prune_vs_perturb open_questions"
for name in ${*:-$every}; do
    case $name in
    demogen)
        study demogen "--width 4 --depth 2,3 --dropout 0 --l2 0 --augment 0,1 --seeds 1 \
            --images 64 --test-images 64 --epochs 3 --draws 2 --repetitions 2 --beta 0.1,0.5 \
            --bootstraps 50 --checkpoint 0" \
            "--epochs 200 --checkpoint 1" checkpoints/model3.safetensors
        all_measures demogen "--width 2 --depth 2 --dropout 0,0.2 --l2 0 --augment 0 --seeds 1,2 \
            --images 64 --test-images 64 --epochs 2 --draws 1 --repetitions 1 --bootstraps 20"
        kernels demogen "--quiet --yes --width 2 --depth 2 --dropout 0,0.2 --l2 0,0.001 --augment 0 \
            --seeds 1 --images 32 --test-images 32 --epochs 1 --draws 1 --repetitions 1"
        columns demogen --beta 0.1,0.10000001
        check "demogen: a single resample" fails 2 'at least 2' "$work/demogen" --resamples 1
        check "demogen: too few models" fails 1 'at least three' "$work/demogen" --quiet --width 2 \
            --depth 2 --dropout 0 --l2 0 --augment 0 --seeds 1,2 --images 32 --test-images 32 \
            --epochs 1 --draws 1 --repetitions 1 --out "$work/demogen-few"
        check "demogen: a claim has the difference of the taus" agrees 'by tau (5.4.1)' table1.csv tau
        check "demogen: of the adjusted R2" agrees 'adjusted R²' table1.csv 'adj. R2'
        check "demogen: of K" agrees 'information about the gap (5.4.3)' table1.csv K
        check "demogen: of Psi" agrees '(Table 2): Psi' table2.csv Psi
        check "demogen: costs of measures" grep -q '^hessian_trace,' "$work/demogen-all/costs.csv"
        ;;
    double_descent)
        study double_descent "--widths 1,2 --seeds 1,2 --images 64 --test-images 64 --epochs 3 \
            --draws 2 --repetitions 2 --steps 3 --hessian-images 32 --fractions 0.2,0.5,0.9,0.99 \
            --checkpoint 0" "--epochs 60 --checkpoint 1" checkpoints/model3.safetensors
        columns double_descent --z 1,1.00001
        few_widths double_descent "--quiet --images 32 --test-images 32 --epochs 1 --draws 1 \
            --repetitions 1 --steps 3 --hessian-images 32 --fractions 4"
        all_measures double_descent "--widths 1,2 --seeds 1,2 --images 64 --test-images 64 \
            --epochs 2 --draws 1 --repetitions 1 --steps 3 --hessian-images 32"
        ;;
    prune_vs_perturb)
        study prune_vs_perturb "--cnn-widths 1,2 --resnet-widths 1 --seeds 1,2 --images 64 \
            --test-images 64 --epochs 3 --fractions 4 --draws 2 --checkpoint 0" \
            "--epochs 60 --checkpoint 1" checkpoints/model5.safetensors
        prune_verdicts
        ;;
    open_questions)
        study open_questions "--widths 1,2 --width 2 --targeted 0.5 --sparsity 0.001 --dropout 0.2 \
            --l2 0.01 --places 0.3,0.9 --seeds 1,2 --images 64 --test-images 64 --epochs 3 \
            --steps 50 --hessian-images 32 --repetitions 2 --resamples 50 --fractions 0.2,0.5,0.9" \
            "" ""
        kernels open_questions "--quiet --yes --widths 2 --width 2 --targeted 0.5 --sparsity 0.001 \
            --dropout 0.2 --l2 0.01 --places 0.5 --seeds 1,2 --images 32 --test-images 32 \
            --epochs 1 --steps 50 --hessian-images 32 --fractions 4"
        questions open_questions "--widths 2 --width 2 --targeted 0.5 --sparsity 0.001 \
            --dropout 0.2 --l2 0.01 --places 0.5 --seeds 1,2 --images 32 --test-images 32 \
            --epochs 1 --steps 50 --hessian-images 0 --fractions 4 --repetitions 1 --resamples 0"
        ;;
    esac
done

finish
