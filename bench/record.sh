#!/bin/sh
# Makes the recorded results of a machine again, a record for each suite bench/suites/results-*, and the page of them all:
#   bench/record.sh gpu FOLDER     NVIDIA GPU: about 9 minutes
#   bench/record.sh cpu FOLDER     CPU: about 6 minutes on 2 cores with nothing else to do
# LIMIT=SECONDS leaves out parts, the last ones first, that would not end by then: no record is cut short.
# FLASHLLA names the program where it is not this checkout's, as in a bundle, and SUITES another folder of suites.
# Other implementations are measured where they are installed (bench/peers/README.md).
# The exit status is 1 if a part fails or is left out: the last line says which. The others are there.
set -u
kind=${1:-} out=${2:-}
case $kind in gpu | cpu) ;; *) kind= ;; esac
if [ -z "$kind" ] || [ -z "$out" ]; then
    echo "usage: bench/record.sh gpu|cpu FOLDER" >&2
    exit 2
fi
root=$(cd -P -- "$(dirname -- "$0")/.." && pwd -P)
flashlla=${FLASHLLA:-$root/bin/flashlla}
mkdir -p "$out" || exit 1
began=$(date +%s)
failed=

fits() { # NAME SECONDS
    spent=$(($(date +%s) - began))
    if [ $((spent + $2)) -gt "${LIMIT:-86400}" ]; then
        failed="$failed $1 (left out after $spent s)"
        return 1
    fi
    echo "== $1, after $spent s" >&2
}

suite() { # NAME SECONDS
    fits "$1" "$2" || return 0
    "$flashlla" bench --suite "${SUITES:+$SUITES/}results-$1${SUITES:+.yaml}" --record "$out/$1.json" >/dev/null || failed="$failed $1"
}

peers() { # SECONDS OPTION...
    fits peers "$1" || return 0
    shift
    python3 "$root/bench/peers/run.py" --record "$out/peers.json" "$@" || failed="$failed peers"
}

if [ "$kind" = gpu ]; then
    compare="--clock kernel --baseline jvm"
    suite matrix-units 90
    suite float32 60
    suite backward 40
    suite host 60
    peers 60 --peer flashlla-triton,torch-sdpa --seq "${PEER_SEQ:-16384}" --heads 16 --max-iter 6,8 --warm-up 1 --sample 1 --time-limit 60
    suite error 60
    suite decode 45
    suite shapes 90
else
    compare="--baseline jvm"
    suite cpu 360
    peers 120 --peer torch-sdpa,torch-lla --seq "${PEER_SEQ:-1024,2048,4096}" --time-limit 60
fi
# shellcheck disable=SC2046,SC2086 # options and file names without blanks
(cd "$out" && "$flashlla" compare $(ls ./*.json | sed 's|^\./||') $compare --html report.html --plot time-against-length.svg >/dev/null) || failed="$failed page"
[ -z "$failed" ] || echo "record.sh: not complete:$failed" >&2
[ -z "$failed" ]
