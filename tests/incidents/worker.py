"""The traced worker beside which incidents are made: one `classify document` every three seconds.

    python worker.py ENDPOINT ROOM PEER_PORT

It reads its mode from ROOM/mode before each document (calm, sleep, lock, exception, more_work, burn, slow_peer) and
notes the start and the end of each trace in ROOM/traces.jsonl, so that a killed one is known by its missing end.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import time
import urllib.request
from pathlib import Path

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

EVERY_SECONDS = 3.0
READS, READ_BYTES = 40, 256 << 10
TOKENIZE_CPU_SECONDS = 0.4
SYNCS, SYNC_BYTES = 6, 64 << 10
BURNERS = 16
MODEL_SECONDS = {"slow_peer": 3.0}


def work(loops: int) -> int:
    return sum(i * i % 7 for i in range(loops))


def loops_for(cpu_seconds: float) -> int:
    """Calibrated in CPU time, so that other load on the box does not change the amount of work."""
    loops = 200_000
    best = min(_cpu_seconds_of(loops) for _ in range(7))
    return int(loops * cpu_seconds / best)


def _cpu_seconds_of(loops: int) -> float:
    before = time.thread_time()
    work(loops)
    return time.thread_time() - before


class Worker:
    def __init__(self, tracer: trace.Tracer, room: Path, peer_port: int) -> None:
        self.tracer, self.room, self.peer_port = tracer, room, peer_port
        self.loops = loops_for(TOKENIZE_CPU_SECONDS)
        self.lock = threading.Lock()
        self.documents = room / "documents"
        self.documents.write_bytes(os.urandom(READS * READ_BYTES))
        self.results = (room / "results").open("ab", buffering=0)

    def document(self, mode: str) -> None:
        with self.tracer.start_as_current_span("classify document") as root:
            trace_id = trace.format_trace_id(root.get_span_context().trace_id)
            self.note(event="start", trace_id=trace_id, mode=mode, start_ns=time.time_ns(), pid=os.getpid())
            try:
                self.steps(mode)
            except RuntimeError as error:
                root.record_exception(error)
                root.set_status(trace.Status(trace.StatusCode.ERROR, str(error)))
        self.note(event="end", trace_id=trace_id, mode=mode, end_ns=time.time_ns())

    def steps(self, mode: str) -> None:
        with self.tracer.start_as_current_span("read document"):
            self.read()
        with self.tracer.start_as_current_span("tokenize"):
            if mode == "burn":
                burners = [multiprocessing.Process(target=work, args=(self.loops * 2,)) for _ in range(BURNERS)]
                for burner in burners:
                    burner.start()
            for _ in range(4 if mode == "more_work" else 1):
                work(self.loops)
            if mode == "burn":
                for burner in burners:
                    burner.join()
        if mode == "sleep":
            with self.tracer.start_as_current_span("back off"):
                time.sleep(2.5)
        if mode == "lock":
            holder = threading.Thread(target=self.hold)
            holder.start()
            time.sleep(0.05)
            with self.tracer.start_as_current_span("wait for the cache"), self.lock:
                pass
            holder.join()
        if mode == "exception":
            raise RuntimeError("the model's answer is no JSON")
        with self.tracer.start_as_current_span("POST", kind=trace.SpanKind.CLIENT) as span:
            span.set_attributes({"server.address": "models.example", "http.request.method": "POST"})
            seconds = MODEL_SECONDS.get(mode, 0.3)
            with urllib.request.urlopen(f"http://127.0.0.1:{self.peer_port}/{seconds}", timeout=60) as answer:
                answer.read()
        with self.tracer.start_as_current_span("store result"):
            for _ in range(SYNCS):
                self.results.write(bytes(SYNC_BYTES))
                os.fsync(self.results.fileno())

    def read(self) -> None:
        with self.documents.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            for _ in range(READS):
                file.read(READ_BYTES)

    def hold(self) -> None:
        with self.lock:
            time.sleep(2.5)

    def note(self, **line: object) -> None:
        with (self.room / "traces.jsonl").open("a") as notes:
            notes.write(json.dumps(line) + "\n")


def main() -> None:
    endpoint, room, peer_port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    provider = TracerProvider(resource=Resource.create({"service.name": "doc-classifier", "process.pid": os.getpid()}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces"), schedule_delay_millis=200)
    )
    worker = Worker(provider.get_tracer("worker"), room, peer_port)
    due = time.monotonic()
    while True:
        worker.document((room / "mode").read_text().strip())
        due = max(due + EVERY_SECONDS, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
