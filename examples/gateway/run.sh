#!/bin/sh
# Runs the whole deployment on one machine until Ctrl-C: a sidecar, two gateways, and a collector that stands for the
# backend. Every address can be set from outside; logs, process ids and admin sockets are in the folder RUN.
set -eu
cd "$(dirname "$0")/../.."

: "${SIDECAR_GRPC:=localhost:4317}" "${SIDECAR_HTTP:=localhost:4318}" "${SIDECAR_HEALTH:=localhost:13133}" "${SIDECAR_METRICS:=8888}"
: "${GATEWAY_A:=127.0.0.1:4327}" "${HEALTH_A:=localhost:13233}" "${METRICS_A:=8988}" "${HTTP_A:=localhost:4328}"
: "${HEALTH_B:=localhost:13333}" "${METRICS_B:=9088}" "${HTTP_B:=localhost:4329}"
: "${BACKEND:=localhost:4337}" "${LIMIT_MIB:=28}"
# Two gateways under one name: here localhost, where that is both 127.0.0.1 and ::1.
if grep -Eq '^::1[[:space:]].*\blocalhost\b' /etc/hosts 2>/dev/null; then
    : "${GATEWAY_B:=[::1]:4327}" "${GATEWAY:=dns:///localhost:4327}"
else
    : "${GATEWAY_B:=127.0.0.1:4347}" "${GATEWAY:=$GATEWAY_A}"
    echo "localhost is one address here: gateway b gets data once GATEWAY names a balancer in front of both"
fi
: "${RUN:=$(mktemp -d)}"

: "${PHOENIX:=$(command -v phoenix-collector || echo target/release/phoenix-collector)}"
[ -x "$PHOENIX" ] || { echo "there is no $PHOENIX: make build, or set PHOENIX" >&2; exit 1; }
# In a session of its own, so that Ctrl-C reaches only this script, which stops everything in the right order.
own=$(command -v setsid || true)

start() { # NAME, then a command
    name=$1
    shift
    $own "$@" >"$RUN/$name.log" 2>&1 &
    echo $! >"$RUN/$name.pid"
    until grep -q 'Everything is ready' "$RUN/$name.log"; do
        kill -0 "$(cat "$RUN/$name.pid")" 2>/dev/null || { cat "$RUN/$name.log" >&2; exit 1; }
        sleep 0.1
    done
}

stop() { # those that send before those that receive, so that what is held arrives
    trap - EXIT INT TERM
    for name in sidecar gateway-a gateway-b backend; do
        [ -e "$RUN/$name.pid" ] || continue
        kill "$(cat "$RUN/$name.pid")" 2>/dev/null || true
        wait "$(cat "$RUN/$name.pid")" 2>/dev/null || true
    done
}
trap stop EXIT
trap 'stop; exit 0' INT TERM

gateway() { # NAME GRPC HTTP HEALTH METRICS
    start "gateway-$1" env OTLP_GRPC="$2" OTLP_HTTP="$3" HEALTH="$4" METRICS_PORT="$5" BACKEND="$BACKEND" \
        ADMIN="unix://$RUN/gateway-$1.sock" "$PHOENIX" --config=examples/gateway/gateway.yaml
}
start backend env OTLP_GRPC="$BACKEND" RECEIVED="$RUN/received.json" "$PHOENIX" --config=examples/gateway/backend.yaml
gateway a "$GATEWAY_A" "$HTTP_A" "$HEALTH_A" "$METRICS_A"
gateway b "$GATEWAY_B" "$HTTP_B" "$HEALTH_B" "$METRICS_B"
start sidecar env OTLP_GRPC="$SIDECAR_GRPC" OTLP_HTTP="$SIDECAR_HTTP" HEALTH="$SIDECAR_HEALTH" METRICS_PORT="$SIDECAR_METRICS" \
    GATEWAY="$GATEWAY" LIMIT_MIB="$LIMIT_MIB" "$PHOENIX" --config=examples/sidecar/collector.yaml

cat <<END
Everything is ready. The sidecar takes OTLP at $SIDECAR_GRPC (gRPC) and $SIDECAR_HTTP (HTTP). From another terminal:

  curl -i http://$SIDECAR_HTTP/v1/traces -H 'Content-Type: application/x-protobuf' --data-binary @examples/quickstart/span.binpb
  cat $RUN/received.json
  PHOENIX_ADMIN=unix://$RUN/gateway-a.sock $PHOENIX status

Ctrl-C stops it.
END
wait
