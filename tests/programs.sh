#!/bin/sh
# Tests the programs of examples/studies and examples/pytorch from the user's side: --help, wrong
# command lines, outputs that cannot be written or that would replace the input, a full standard
# output, the width of the terminal, and Ctrl-C.
#
#   [CC=cc] [PYTHON=python3] sh tests/programs.sh
#
# The last line is "programs: N passed, N failed".

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
cd "$here/.." || exit 1
export OMP_WAIT_POLICY=passive

# ends STATUS TEXT COMMAND...: with that status, in less than 20 seconds of CPU time, and prints the
# text somewhere; what it printed is in $work/out
ends() {
    wanted=$1
    text=$2
    shift 2
    (ulimit -t 20; exec "$@") > "$work/out" 2>&1 < /dev/null
    status=$?
    [ "$status" -eq "$wanted" ] && grep -q -e "$text" "$work/out" ||
        { echo "exit status $status"; cat "$work/out"; return 1; }
}

# no_escape: the last output contains no control characters
no_escape() {
    ! LC_ALL=C tr -d '\n' < "$work/out" | LC_ALL=C grep -q '[[:cntrl:]]'
}

# whole FILE ROWS: a CSV file of ROWS lines, each with the cells of the first
whole() {
    awk -F, -v rows="$2" 'NR == 1 { cells = NF } NF != cells { bad = 1 }
        END { exit bad || NR != rows }' "$1"
}

# nothing_temporary DIRECTORY
nothing_temporary() {
    [ -z "$(find "$1" -name '*.tmp')" ] || { find "$1" -name '*.tmp'; return 1; }
}

programs="measure checkpoint vgg_from_pytorch demogen double_descent prune_vs_perturb"
programs="$programs open_questions evaluate"
for name in $programs; do
    check "$name compiles" build_program examples/*/"$name.c" "$work/$name"
done
measure=$work/measure
tiny="--width 2 --images 64 --test-images 64 --only prunability,train_loss"
forever="$tiny --epochs 1000000"

# ---- the command line ----

for name in $programs; do
    check "$name --help" ends 0 '^usage: ' "$work/$name" --help
    check "$name -h" ends 0 '^usage: ' "$work/$name" -h
    check "$name: --help after what is wrong" ends 0 '^usage: ' "$work/$name" a b --nonsense --help
    check "$name: --help on a full disk" ends 1 'standard output\|^$' \
        sh -c "'$work/$name' --help > /dev/full; status=\$?; echo; exit \$status"
    check "$name: an unknown option" ends 2 '--help' "$work/$name" --nonsense
    check "$name: too many arguments" ends 2 '--help' "$work/$name" a b c
done
check "the nearest option is named" ends 2 'did you mean --epochs' "$measure" --epoch 3
check "also after swapped letters" ends 2 'did you mean --weight-decay' "$measure" --wieght-decay 3
check "no option is named if none is near" ends 2 '--nonsense; --help lists' "$measure" --nonsense
check "the nearest measure is named" ends 2 'did you mean prunability?' "$measure" --only prunabilty
check "no measure is named if none is near" ends 2 'no measure or family "nonsense"' \
    "$measure" --only nonsense
check "a family of measures" ends 0 'sum_of_frobenius' "$measure" --quiet --width 2 --epochs 1 \
    --images 64 --test-images 64 --only norms
check "--help names the formats" ends 0 'IDX.*CIFAR' "$measure" --help
check "and NumPy's" ends 0 'NumPy' "$measure" --help
check "no data: where it looked, which option helps" ends 1 "$work/none.*no such.*--data DIR" \
    "$measure" --data "$work/none"
check "the default was looked for beside the program" ends 1 "none in .*/data or .*--data DIR" \
    sh -c "cd '$work' && exec ./measure"
check "a file is no directory of data" ends 1 "not a directory.*--data DIR" \
    "$measure" --data "$measure"

# ---- standard output ----

check "a full standard output" ends 1 'standard output' sh -c "'$measure' --list > /dev/full"
check "a closed standard output" ends 1 'standard output' sh -c "'$measure' --list >&-"
check "a closed standard output, with --csv" ends 1 'standard output' \
    sh -c "'$measure' $tiny --epochs 1 --quiet --csv '$work/closed.csv' >&-"
check "the CSV file is complete all the same" whole "$work/closed.csv" 2
check "a closed standard error" ends 0 '^$' sh -c "'$measure' --list 2>&- > '$work/list'; echo"

# ---- outputs ----

check "a network is saved" ends 0 'gap' "$measure" $tiny --epochs 1 --quiet --save \
    "$work/net.safetensors" --csv "$work/row.csv"
check "and its row is written" whole "$work/row.csv" 2
net=$work/net.safetensors
cp "$net" "$work/before"
check "--columns adds to the row" ends 0 'gap' "$measure" --checkpoint "$net" $tiny \
    --csv "$work/columns.csv" --columns 'width=16,lr=0.1,name=a b=c'
check "the names" grep -q '^net,width,lr,name,train_images,' "$work/columns.csv"
check "and the values" grep -q 'safetensors,16,0.1,a b=c,[0-9]' "$work/columns.csv"
for columns in width width= =3 width=3, ,width=3 '' width=3,lr=2,width=4 gap=1 \
    sum_of_frobenius=2; do
    check "--columns '$columns'" ends 2 'name=value\|already a column' \
        "$measure" $forever --csv "$work/columns.csv" --columns "$columns"
done
check "--columns without --csv" ends 2 'not given' "$measure" $forever --columns width=3
check "no directory for --csv: before the training" ends 1 "$work/no/a.csv" \
    "$measure" $forever --csv "$work/no/a.csv"
check "no directory for --save: before the training" ends 1 "$work/no/a" \
    "$measure" $forever --save "$work/no/a"
mkdir "$work/folder"
check "--csv is a directory: before the training" ends 1 "$work/folder" \
    "$measure" $forever --csv "$work/folder"
check "--spectrum below a file: before the training" ends 1 "$work/row.csv" \
    "$measure" $forever --spectrum "$work/row.csv/figures"
check "--spectrum draws" ends 0 'gap' "$measure" $tiny --epochs 1 --quiet --hessian-steps 5 \
    --hessian-runs 1 --spectrum "$work/figures"
for name in weights hessian loss surface; do
    check "$name.svg is whole" grep -q '^</svg>$' "$work/figures/$name.svg"
    check "and has its numbers" test -s "$work/figures/$name.csv"
done
check "the trained network is in the middle of the surface" awk -F, '
    FNR == 1 { next }
    FILENAME ~ /loss/ && $2 == 0 { base = $3 }
    FILENAME ~ /surface/ && $2 == 0 && $3 == 0 { found++; bad += $4 != base }
    END { exit bad || found != 2 }' "$work/figures/loss.csv" "$work/figures/surface.csv"
check "families" ends 0 '^pruning' "$measure" $tiny --epochs 1 --quiet
check "--isa chooses the kernels" ends 0 'gap' "$measure" $tiny --epochs 1 --quiet --isa portable \
    --csv "$work/portable.csv"
check "the CSV row names them" grep -q ',portable$\|,portable,' "$work/portable.csv"
check "unknown kernels" ends 2 'portable always works' "$measure" --isa avx1024
check "no room for --out: before the training" ends 1 "$work/row.csv" \
    "$work/demogen" --mini --out "$work/row.csv/out"
ln -s net.safetensors "$work/link"
ln "$net" "$work/hard"
for path in "$net" "$work/./net.safetensors" "$work/link" "$work/hard"; do
    check "--csv is the checkpoint: $path" ends 2 'same file' \
        "$measure" --checkpoint "$net" --csv "$path"
    check "--save is the checkpoint: $path" ends 2 'same file' \
        "$measure" --checkpoint "$net" --save "$path"
done
rm "$work/hard"
check "--csv is the weights before training" ends 2 'same file' \
    "$measure" --checkpoint "$work/row.csv" --initial "$net" --csv "$net"
check "--csv is the history" ends 2 'same file' \
    "$measure" --checkpoint "$net" --history "$work/row.csv" --csv "$work/row.csv"
check "--csv and --save are one new file" ends 2 'same file' \
    "$measure" $forever --csv "$work/new" --save "$work/../${work##*/}/new"
mkdir "$work/data" "$work/npy"
for file in examples/data/*-ubyte; do
    head -c 100 "$file" > "$work/data/${file##*/}"
done
mkdir "$work/packed"
echo > "$work/packed/train-images-idx3-ubyte.gz"
check "compressed data: how to unpack it" ends 1 'gzip -dc' "$work/demogen" --data "$work/packed"
check "--csv is a file of the data" ends 2 'same file' "$measure" --data "$work/data" \
    --csv "$work/data/fashion-mnist-test-labels.idx1-ubyte"
echo > "$work/npy/test-labels.npy"
check "--save is a file of the arrays" ends 2 'same file' "$measure" --npy "$work/npy" \
    --save "$work/npy/test-labels.npy"
check "a checkpoint is not saved again" ends 2 'trained here' \
    "$measure" --checkpoint "$net" --save "$work/copy"
check "--initial without a checkpoint" ends 2 'need --checkpoint' "$measure" --initial "$net"
check "the checkpoint is as it was" cmp "$net" "$work/before"
echo old > "$work/private"
chmod 600 "$work/private"
ln -s private "$work/symbolic"
mkfifo "$work/pipe"
(wc -l < "$work/pipe" > "$work/lines") &
reader=$!
check "--csv to a link" ends 0 'gap' "$measure" --checkpoint "$net" $tiny --csv "$work/symbolic"
check "the link stays a link" test -h "$work/symbolic"
check "the file behind it keeps its mode" sh -c "ls -l '$work/private' | grep -q '^-rw-------'"
check "and is complete" whole "$work/private" 2
check "into a pipe" ends 0 'gap' "$measure" --checkpoint "$net" $tiny --csv "$work/pipe"
wait "$reader"
check "the pipe received every line" grep -qx ' *2' "$work/lines"
check "nothing temporary is left" nothing_temporary "$work"

# ---- names with control characters ----

escape=$(printf '\033[31m')
check "a file name's are escaped" ends 1 'x1b\[31m' "$work/checkpoint" "$work/a${escape}b"
check "and not printed" no_escape
check "an option's are escaped" ends 2 'x1b\[31m' "$measure" "--a${escape}b"
check "and not printed" no_escape
check "a directory's are escaped" ends 1 'x1b\[31m' "$measure" --data "$work/a${escape}b"
check "and not printed" no_escape
header='{"a\u001b[31mb":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
printf '%b%s%b' "\\0$(printf %o ${#header})\\0000\\0000\\0000\\0000\\0000\\0000\\0000" "$header" \
    '\0000\0000\0000\0000' > "$work/colour"
check "a tensor's are escaped" ends 0 'a.x1b\[31mb *F32' "$work/checkpoint" "$work/colour"
check "and not printed" no_escape
mkdir "$work/o${escape}"
tiny_study="--width 2 --depth 2 --dropout 0 --l2 0 --augment 0,1 --seeds 1,2 --images 64
    --test-images 64 --epochs 1 --draws 1 --repetitions 1 --beta 0.1 --resamples 50 --measures fast
    --quiet"
check "of --out in what a study prints" ends 0 'x1b\[31m/report.md' "$work/demogen" $tiny_study \
    --out "$work/o${escape}"
check "and not printed" no_escape

# ---- terminal and signals ----

cat > "$work/terminal.py" << 'END'
"""terminal.py COLUMNS PROGRAM...: runs it on a terminal of that width; the progress bar is drawn, and
no line of it reaches the last column. 0 columns: the terminal says nothing, COLUMNS=50 does."""
import fcntl, os, pty, re, struct, sys, termios

columns = int(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    if columns == 0:
        os.environ["COLUMNS"] = "50"
    os.execv(sys.argv[2], sys.argv[2:])
text = b""
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    text += part
status = os.waitpid(pid, 0)[1]
drawn = [line for line in re.split("[\r\n]+", text.decode()) if re.search(r"\d+ %", line)]
longest = max(map(len, drawn), default=0)
full = 79 if columns > 80 else (columns or 50) - 1
print(f"{columns} columns: {len(drawn)} bars, the longest of {longest}, status {status}")
print("\n".join(drawn[-3:]))
sys.exit(not (status == 0 and len(drawn) >= 2 and full - 30 <= longest <= full))
END

cat > "$work/interrupt.py" << 'END'
"""interrupt.py SIGNAL TEXT FILE PROGRAM...: when the file is there, sends the signal, which the program
may have been started to ignore (nohup, a shell in the background); the program ends
by it, with the text on stderr."""
import os, signal, subprocess, sys, time

number = getattr(signal, sys.argv[1])
program = subprocess.Popen(sys.argv[4:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                           preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
last = time.monotonic() + 60
while not os.path.exists(sys.argv[3]) and program.poll() is None and time.monotonic() < last:
    time.sleep(0.01)
time.sleep(0.2)
program.send_signal(number)
text = program.communicate(timeout=30)[1].decode()
print(program.returncode, text)
sys.exit(not (program.returncode == -number and sys.argv[2] in text))
END

study="$work/double_descent --quiet --yes --widths 8 --seeds 1,2 --images 512 --test-images 64
    --epochs 100000 --checkpoint 1"
if command -v "$python" > /dev/null; then
    for columns in 20 40 60 80 200; do
        check "the bar fits $columns columns" "$python" "$work/terminal.py" $columns "$measure" \
            --width 4 --images 256 --test-images 64 --only prunability --epochs 12
    done
    check "the bar fits COLUMNS" "$python" "$work/terminal.py" 0 "$measure" \
        --width 4 --images 256 --test-images 64 --only prunability --epochs 12
    check "Ctrl-C" "$python" "$work/interrupt.py" SIGINT interrupted "$measure" "$measure" $forever \
        --csv "$work/interrupted.csv"
    check "an interrupt leaves no partial file" test ! -e "$work/interrupted.csv"
    for signal in SIGINT SIGTERM SIGHUP; do
        check "$signal in a study says how to resume" "$python" "$work/interrupt.py" $signal \
            'run the same command again to resume' \
            "$work/study-$signal/checkpoints/model0.safetensors" $study --out "$work/study-$signal"
    done
else
    skip "terminal and Ctrl-C: $python is not installed"
fi
check "nothing temporary is left after signals" nothing_temporary "$work"

finish
