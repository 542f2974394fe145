#!/bin/sh
# Optimizes a recording of process metrics, and prints what is left of it.
set -eu
cd "$(dirname "$0")/../.."

: "${PHOENIX:=$(command -v phoenix-collector || echo target/release/phoenix-collector)}"
[ -x "$PHOENIX" ] || { echo "there is no $PHOENIX: make build, or set PHOENIX" >&2; exit 1; }
RUN=$(mktemp -d)
export INPUT=examples/optimization/processes.jsonl OUTPUT="$RUN/optimized.jsonl"

"$PHOENIX" --config=examples/optimization/collector.yaml >"$RUN/log" 2>&1 &
collector=$!
trap 'kill "$collector" 2>/dev/null || true; rm -rf "$RUN"' EXIT
until grep -q 'Everything is ready' "$RUN/log"; do
    kill -0 "$collector" 2>/dev/null || { cat "$RUN/log" >&2; exit 1; }
    sleep 0.1
done
sleep 2
# What was added up and not yet let out goes out at the end.
kill -TERM "$collector"
wait "$collector"

# A point has one value. The recording has three rounds; what is aggregated is in the last line, the critical process in all others.
points() { grep -oE '"as(Double|Int)"' | wc -l; }
bytes() { wc -c <"$1"; }
before=$(($(points <"$INPUT") / 3))
left=$(($(tail -n 1 "$OUTPUT" | points) + $(grep 'phoenix.priority' "$OUTPUT" | points) / 3))
echo "series: $before before, $left after ($((100 - 100 * left / before)) % fewer)"
echo "bytes:  $(bytes "$INPUT") before, $(bytes "$OUTPUT") after ($((100 - 100 * $(bytes "$OUTPUT") / $(bytes "$INPUT"))) % fewer)"
