#!/usr/bin/env python3
"""Records what VictoriaMetrics' stream aggregation makes of random samples, for the test of `convert vmagent`.

    record.py VMAGENT VICTORIA_METRICS VERSION > recorded.json

starts both on ports of their own, sends samples in real time (a minute), and writes for each case the entry, the samples,
and what came out. Windows are of the clock there, so samples have the time at which they are sent, away from the ends of windows.
"""
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

INTERVAL = 4
WINDOWS = 8
AGENT, STORE = "127.0.0.1:18429", "127.0.0.1:18428"
SEED = 20261127

# Name, kind of the samples, settings of the entry.
CASES = [
    ("total", "counter", {"outputs": ["total"], "without": ["pod"]}),
    ("increase", "counter", {"outputs": ["increase"], "by": ["route"]}),
    ("total_prometheus", "counter", {"outputs": ["total_prometheus"], "without": ["pod"]}),
    ("increase_prometheus", "counter", {"outputs": ["increase_prometheus"], "by": ["route", "zone"]}),
    ("rates", "counter", {"outputs": ["rate_sum", "rate_avg"], "without": ["pod"]}),
    ("counts", "counter", {"outputs": ["count_samples", "count_series"], "by": ["zone"]}),
    ("by_time", "counter", {"outputs": ["increase"]}),
    ("dropped_labels", "counter", {"outputs": ["total"], "drop_input_labels": ["zone"], "without": ["pod"]}),
    ("kept_name", "counter", {"outputs": ["increase"], "by": ["route"], "keep_metric_names": True}),
    ("old", "counter", {"outputs": ["increase"], "by": ["route"], "ignore_old_samples": True}),
    ("windows", "counter", {"outputs": ["total", "increase"], "by": ["route"], "enable_windows": True}),
    ("stale", "pausing", {"outputs": ["increase"], "by": ["route"], "staleness_interval": "12s", "ignore_first_sample_interval": "4s"}),
    ("values", "gauge", {"outputs": ["avg", "last", "min", "max", "stddev", "stdvar"], "by": ["route"]}),
    ("each", "gauge", {"outputs": ["avg", "max"]}),
    ("distinct", "gauge", {"outputs": ["unique_samples", "count_series"], "without": ["pod", "zone"]}),
    ("spread", "gauge", {"outputs": ["quantiles(0, 0.5, 0.9, 1)"], "by": ["route"]}),
    ("buckets", "gauge", {"outputs": ["histogram_bucket"], "by": ["route"]}),
    ("sums", "gauge", {"outputs": ["sum_samples"], "by": ["route"]}),
    ("delta_sums", "delta", {"outputs": ["sum_samples"], "without": ["pod"]}),
    ("deduplicated", "gauge", {"outputs": ["sum_samples", "count_samples", "last"], "by": ["route"], "dedup_interval": "2s"}),
    ("deduplicated_counter", "counter", {"outputs": ["increase"], "by": ["route"], "dedup_interval": "2s"}),
    ("first_left_out", "gauge", {"outputs": ["max"], "by": ["route"], "ignore_first_intervals": 3}),
    ("relabelled", "gauge", {"outputs": ["max"], "by": ["route"],
        "output_relabel_configs": [{"target_label": "cluster", "replacement": "one"}]}),
]


def entry(name, kind, settings):
    # Series that pause for two windows are not forgotten, and new ones count in full.
    lasting = {"staleness_interval": "1m", "ignore_first_sample_interval": f"{INTERVAL}s"} if kind == "counter" else {}
    return {"match": '{__name__="%s"}' % name, "interval": f"{INTERVAL}s", **lasting, **settings}


def get(address, path, **query):
    return urllib.request.urlopen(f"http://{address}{path}?{urllib.parse.urlencode(query, doseq=True)}").read()


def post(lines):
    body = "\n".join(lines).encode()
    request = urllib.request.Request(f"http://{AGENT}/api/v1/import/prometheus", body)
    urllib.request.urlopen(request).read()


def wait_for(address):
    for _ in range(200):
        try:
            return get(address, "/health")
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nobody listens on {address}")


def grown(chance, kind, value):
    if kind == "gauge":
        return chance.choice([0, 0.5, 2, 7.25, 40, 1000.125, -3])
    if kind == "delta":
        return chance.randrange(20)
    # Now and then a counter starts again.
    return chance.randrange(5) if chance.random() < 0.08 else value + chance.randrange(20)


def main():
    agent, store, version = sys.argv[1:]
    folder = tempfile.mkdtemp()
    rules = f"{folder}/rules.yaml"
    json.dump([entry(name, kind, settings) for name, kind, settings in CASES], open(rules, "w"))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": open(f"{folder}/log", "w")}
    processes = [
        subprocess.Popen([store, f"-httpListenAddr={STORE}", f"-storageDataPath={folder}/data", "-search.latencyOffset=0s"], **quiet),
        subprocess.Popen([agent, f"-httpListenAddr={AGENT}", f"-remoteWrite.url=http://{STORE}/api/v1/write",
            f"-remoteWrite.tmpDataPath={folder}/queue", f"-remoteWrite.streamAggr.config={rules}", "-remoteWrite.flushInterval=100ms"], **quiet),
    ]
    try:
        record(version)
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def record(version):
    wait_for(STORE), wait_for(AGENT)
    chance = random.Random(SEED)
    # Past the time in which first samples are none of counters that are new.
    time.sleep(4 * INTERVAL)
    origin = (int(time.time()) // INTERVAL + 1) * INTERVAL
    samples = {name: [] for name, *_ in CASES}
    values = {}
    for window in range(WINDOWS):
        # Two rounds in each window, in the middle of its halves, in which series take part or not.
        for half in (0.25, 0.75):
            at = origin + (window + half) * INTERVAL
            time.sleep(max(0, at - time.time()))
            lines = []
            for name, kind, _ in CASES:
                for number in range(6):
                    labels = {"route": f"/{number % 2}", "zone": "ab"[number // 2 % 2], "pod": f"p{number}"}
                    begins = number // 2
                    pauses = kind == "pausing" and 2 <= window < 6 and number == 0
                    if window < begins or pauses or kind != "pausing" and chance.random() < 0.2:
                        continue
                    key = (name, number)
                    values[key] = grown(chance, kind, values.get(key, 0))
                    millis = int(at * 1000) + chance.randrange(-200, 200)
                    samples[name].append([labels, values[key], millis - origin * 1000])
                    text = ",".join(f'{label}="{value}"' for label, value in labels.items())
                    lines.append(f"{name}{{{text}}} {values[key]} {millis}")
                    if name == "old" and window > 3 and number == 1:
                        # The first one again, long overtaken.
                        again = next(sample for sample in samples[name] if sample[0] == labels)
                        samples[name].append(again)
                        lines.append(f"{name}{{{text}}} {again[1]} {again[2] + origin * 1000}")
            post(lines)
    time.sleep(3 * INTERVAL)
    get(STORE, "/internal/force_flush")
    cases = []
    for name, kind, settings in CASES:
        exported = get(STORE, "/api/v1/export", **{"match[]": '{__name__=~"%s(:.*)?"}' % name, "start": origin}).decode()
        found = []
        for line in exported.splitlines():
            series = json.loads(line)
            for value, millis in zip(series["values"], series["timestamps"]):
                found.append([series["metric"], value, millis - origin * 1000])
        found.sort(key=lambda one: (one[2], json.dumps(one[0], sort_keys=True)))
        cases.append({"case": name, "kind": kind, "entry": entry(name, kind, settings), "input": samples[name], "output": found})
    lines = ",\n".join(json.dumps(case) for case in cases)
    print(f'{{"version": {json.dumps(version)}, "interval": {INTERVAL}, "windows": {WINDOWS}, "cases": [\n{lines}\n]}}')


main()
