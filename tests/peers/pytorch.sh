#!/bin/sh
# Losses of the same weights here and in PyTorch, both ways; see pytorch.py. Without PyTorch it says so
# and is skipped (apt-get install python3-torch).
#
#   [CC=cc] [PYTHON=python3] sh tests/peers/pytorch.sh

cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

for python in "${PYTHON:-python3}" python3 /usr/bin/python3 ''; do
    [ -n "$python" ] && "$python" -c 'import torch' 2> /dev/null && break
done
if [ -z "$python" ]; then
    echo 'skip pytorch: no Python here has PyTorch (apt-get install python3-torch)'
    echo 'pytorch: 0 passed, 0 failed, 1 skipped'
    exit 0
fi
for source in examples/checkpoint examples/vgg_from_pytorch tests/peers/train; do
    if ! ${CC:-cc} -O2 "$source.c" -o "$work/$(basename "$source")" -lm; then
        echo 'pytorch: 0 passed, 1 failed'
        exit 1
    fi
done
"$python" tests/peers/pytorch.py "$work" examples/data
