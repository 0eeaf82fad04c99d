"""Runs of a program as the OTLP requests its SDK sends. What a killed process had not ended is never sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from benchmarks.verdicts.collector import attributes, stamp
from benchmarks.verdicts.program import Run

ERROR = 2


def trace_id(case: str, run: int) -> bytes:
    return hashlib.sha256(f"{case}/{run}".encode()).digest()[:16]


def request(run: Run, identity: bytes, resources: Mapping[str, Mapping[str, object]]) -> bytes:
    """`resources`: more attributes by service (process.pid …)."""
    out = ExportTraceServiceRequest()
    groups: dict[tuple[str, str], object] = {}
    for span in run.spans:
        if run.died is not None and span.end > run.died:
            continue
        node = span.node
        key = (node.service, node.host)
        if key not in groups:
            about: list[tuple[str, object]] = [
                ("service.name", node.service), ("host.name", node.host),
                ("service.instance.id", f"{node.service}-{node.host}-{run.instance}"),
            ]  # fmt: skip
            about += list(resources.get(node.service, {}).items())
            added = out.resource_spans.add(resource=Resource(attributes=attributes(about)))
            groups[key] = added.scope_spans.add()
        one = groups[key].spans.add(
            trace_id=identity, span_id=_span_id(identity, span.number), name=node.name, kind=node.kind,
            start_time_unix_nano=stamp(span.start), end_time_unix_nano=stamp(span.end),
            attributes=attributes(node.attributes),
        )  # fmt: skip
        if span.parent is not None:
            one.parent_span_id = _span_id(identity, span.parent)
        if span.error:
            kind, _, message = span.error.partition(": ")
            one.status.code = ERROR
            one.status.message = message
            event = one.events.add(name="exception", time_unix_nano=stamp(span.end))
            event.attributes.extend(attributes([("exception.type", kind), ("exception.message", message)]))
    return out.SerializeToString()


def _span_id(identity: bytes, number: int) -> bytes:
    return identity[:4] + (number + 1).to_bytes(4, "big")
