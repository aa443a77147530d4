#!/bin/sh
# Makes the recorded results of a machine again, one record for each suite bench/suites/results-*, and the page of all of them:
#   bench/record.sh gpu FOLDER     NVIDIA GPU: about 7 minutes
#   bench/record.sh cpu FOLDER     CPU: about 6 minutes on 2 cores with nothing else to do
# FLASHLLA names the program where it is not this checkout's, as in a bundle, and SUITES another folder of suites.
# Other implementations are measured where they are installed (bench/peers/README.md).
# A part that fails leaves the others: the exit status is 1, and the last lines say which.
set -u
kind=${1:-} out=${2:-}
case $kind in gpu | cpu) ;; *) kind= ;; esac
if [ -z "$kind" ] || [ -z "$out" ]; then
    echo "usage: bench/record.sh gpu|cpu FOLDER" >&2
    exit 2
fi
root=$(cd -P -- "$(dirname -- "$0")/.." && pwd -P)
flashlla=${FLASHLLA:-$root/bin/flashlla}
suites=${SUITES:-$root/bench/suites}
mkdir -p "$out" || exit 1
failed=

suite() { # SUITE RECORD
    echo "== $2, $(date -u +%T)" >&2
    "$flashlla" bench --suite "$suites/$1.yaml" --record "$out/$2.json" >/dev/null || failed="$failed $2"
}

peers() { # OPTION...
    echo "== peers, $(date -u +%T)" >&2
    python3 "$root/bench/peers/run.py" --record "$out/peers.json" "$@" || failed="$failed peers"
}

case $kind in
    gpu)
        suite results-error equal-error
        suite results-float16 float16
        suite results-gpu float32
        peers --peer flashlla-triton,torch-sdpa --seq "${PEER_SEQ:-16384}" --heads 16 --max-iter 4,6,8,32 --warm-up 1.5 --sample 1 \
            --time-limit 60
        suite results-host host
        compare="--clock kernel --baseline jvm"
        ;;
    cpu)
        suite results-cpu cpu
        peers --peer torch-sdpa,torch-lla --seq "${PEER_SEQ:-1024,2048,4096}" --time-limit 60
        compare="--baseline jvm"
        ;;
esac
# shellcheck disable=SC2086 # options and file names without blanks
(cd "$out" && "$flashlla" compare $(ls ./*.json | sed 's|^\./||') $compare --html report.html --plot time-against-length.svg >/dev/null) || failed="$failed page"
[ -z "$failed" ] || echo "record.sh: not complete:$failed" >&2
[ -z "$failed" ]
