"""A traced program to be killed: says on stdout what it does, then waits inside an open span.

python traced_worker.py grpc|http|logfire ENDPOINT
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any


def opentelemetry_tracer(transport: str, endpoint: str) -> Any:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter: Any
    if transport == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc

        exporter = Grpc(endpoint=endpoint, insecure=True)
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http

        exporter = Http(endpoint=f"{endpoint}/v1/traces")
    provider = TracerProvider(resource=Resource.create({"service.name": "worker", "process.pid": os.getpid()}))
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=100))
    return provider.get_tracer("worker").start_as_current_span


def logfire_span(endpoint: str) -> Any:
    """Logfire sends pending spans only to its own base URL, so that is where the server is put; the token is a word."""
    import logfire

    advanced = logfire.AdvancedOptions(base_url=endpoint, pending_spans=True)
    logfire.configure(
        service_name="worker",
        send_to_logfire=True,
        token="none",
        advanced=advanced,
        console=False,
        inspect_arguments=False,
        metrics=False,
    )
    return logfire.span


def main(transport: str, endpoint: str) -> None:
    span = logfire_span(endpoint) if transport == "logfire" else opentelemetry_tracer(transport, endpoint)
    from opentelemetry import trace

    with span("classify batch"):
        print(f"{trace.get_current_span().get_span_context().trace_id:032x}", flush=True)
        with span("classify document"):
            for name in ("read document", "tokenize"):
                with span(name):
                    time.sleep(0.05)
            time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
