#!/bin/sh
# Optimizes the metrics of this host for some seconds, and prints what is left of them; `run.sh recording` takes a recording instead.
set -eu
cd "$(dirname "$0")/../.."

: "${PHOENIX:=$(command -v phoenix-collector || echo target/release/phoenix-collector)}"
: "${SECONDS_TO_RUN:=21}"
[ -x "$PHOENIX" ] || { echo "there is no $PHOENIX: make build, or set PHOENIX" >&2; exit 1; }
RUN=$(mktemp -d)
export INPUT=examples/optimization/processes.jsonl OUTPUT="$RUN/left.jsonl" ALL="$RUN/all.jsonl"

start() {
    "$PHOENIX" --config="$1" >"$RUN/log" 2>&1 &
    collector=$!
    trap 'kill "$collector" 2>/dev/null || true; rm -rf "$RUN"' EXIT
    until grep -q 'Everything is ready' "$RUN/log"; do
        kill -0 "$collector" 2>/dev/null || { cat "$RUN/log" >&2; exit 1; }
        sleep 0.1
    done
}

# What was added up and not yet let out goes out at the end.
stop() {
    kill -TERM "$collector"
    wait "$collector"
}

# The head of an analysis: "28 metrics, 831 series (632 hold still), 3577 points, 557326 bytes in 4 s".
figure() { "$PHOENIX" analyze --input "$1" | sed -n "1s/.* \([0-9]*\) $2.*/\1/p"; }

report() {
    for what in series points bytes; do
        before=$(figure "$1" "$what")
        after=$(figure "$2" "$what")
        echo "$what: $before before, $after after ($((100 - 100 * after / before)) % fewer)"
    done
}

if [ "${1:-host}" = recording ]; then
    start examples/optimization/collector.yaml
    sleep 2
    stop
    report "$INPUT" "$OUTPUT"
else
    echo "reading this host every second for $SECONDS_TO_RUN seconds; what is aggregated is let out every five" >&2
    start examples/optimization/host.yaml
    sleep "$SECONDS_TO_RUN"
    stop
    report "$ALL" "$OUTPUT"
fi
