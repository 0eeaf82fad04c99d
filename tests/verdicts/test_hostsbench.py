"""The verdict on real traces with injected faults (hostsbench, the development run), where it lies beside the checkout.

The box that fails is a pod at its own CPU limit; seen from the nodes alone, nothing was ever wrong with a box.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hosts_mcp.answers.was_it_the_box import answer
from hosts_mcp.otlp.transport import Request, Signal
from hosts_mcp.timerange import NS
from in_process import InProcess

RUN = Path(__file__).parents[3] / "shared" / "data" / "hostsbench-dev"
SIGNALS = {Signal.METRICS: "metrics.jsonl.gz", Signal.TRACES: "spans.jsonl.gz"}

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not RUN.exists(), reason="the hostsbench run is not beside this checkout"),
]


def requests(signal: Signal, view: str, arrived_ns: int) -> Iterator[Request]:
    with gzip.open(RUN / SIGNALS[signal], "rt") as lines:
        for line in lines:
            body = json.loads(line)
            if view == "node" and not as_a_node_sees_it(body):
                continue
            yield Request(signal, json.dumps(body).encode(), "json", "127.0.0.1", arrived_ns)


def as_a_node_sees_it(body: dict[str, Any]) -> bool:
    """Leaves out the pods' own metrics, and says of each span on which node it ran. False: nothing is left."""
    if "resourceMetrics" in body:
        body["resourceMetrics"] = [rm for rm in body["resourceMetrics"] if "k8s.pod.name" not in named(rm)]
        return bool(body["resourceMetrics"])
    for spans in body["resourceSpans"]:
        node = named(spans)["k8s.node.name"]
        for attribute in spans["resource"]["attributes"]:
            if attribute["key"] in ("host.name", "host.id"):
                attribute["value"] = {"stringValue": node}
    return True


def named(resource: dict[str, Any]) -> dict[str, str]:
    return {a["key"]: a["value"]["stringValue"] for a in resource["resource"]["attributes"]}


def judged(view: str, room: Path) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every labelled trace, and whether the box was blamed for it."""
    labels = json.loads((RUN / "labels.json").read_text())
    now = max(one["trace"]["end_ns"] for one in labels) + 3600 * NS
    box = InProcess(room / "x.db")
    for signal in SIGNALS:
        box.requests(requests(signal, view, now))
    box.derive(now)
    for one in labels:
        yield one, answer(box.reader, one["trace_id"], now_ns=now).verdict in ("yes", "partly")
    box.close()


def test_pods_at_their_limit_are_blamed_and_nobody_else(tmp_path: Path) -> None:
    found: Counter[tuple[str, bool | None, bool]] = Counter()
    for one, blamed in judged("pod", tmp_path):
        found[one["tier"], one["blame_host"], blamed] += 1
    print(found)
    right, missed, wrong = (found["core", *key] for key in ((True, True), (True, False), (False, True)))
    assert 2 * right / (2 * right + missed + wrong) >= 0.95, found
    assert wrong <= 0.01 * (wrong + found["core", False, False]), found
    assert found["hardneg", False, True] == 0, found


def test_a_busy_node_alone_is_not_a_cause(tmp_path: Path) -> None:
    blamed = [one["trace_id"] for one, blamed in judged("node", tmp_path) if blamed]
    assert blamed == []
