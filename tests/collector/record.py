"""Records a few scrapes of the collector of build.py into fixtures/recorded/own: gRPC, HTTP and the file exporter.

    python tests/collector/record.py

Records are `arrival time (int64 LE, ns) | transport (g or h) | length (uint32 LE) | body`, gzipped; the file exporter's
lines are kept as they are. What names this machine is replaced in place by text of equal length.
"""

from __future__ import annotations

import gzip
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).parents[1]))
from collector import build, running

TARGET = Path(__file__).parents[2] / "fixtures" / "recorded" / "own"
SECONDS = 4.5
MACHINE_ID = "5f0c1d2e3b4a59687786a5b4c3d2e1f0"
Keep = Callable[[bytes, bytes], None]


def main() -> int:
    binary = build.build()
    TARGET.mkdir(parents=True, exist_ok=True)
    for transport in ("grpc", "http", "file"):
        with tempfile.TemporaryDirectory() as room:
            _record(transport, binary, Path(room))
    return 0


def _record(transport: str, binary: Path, room: Path) -> None:
    records: list[bytes] = []

    def keep(letter: bytes, body: bytes) -> None:
        head = struct.pack("<qcI", time.time_ns(), letter, len(body))
        records.append(head + body)

    written = room / "metrics.jsonl"
    if transport == "grpc":
        port, stop = _grpc(keep)
        exporters = {"otlp": {"endpoint": f"127.0.0.1:{port}", "tls": {"insecure": True}, "compression": "none"}}
    elif transport == "http":
        port, stop = _http(keep)
        exporters = {"otlphttp": {"endpoint": f"http://127.0.0.1:{port}", "compression": "none"}}
    else:
        exporters, stop = {"file": {"path": str(written)}}, lambda: None
    own = {"process": {"include": {"names": [binary.name], "match_type": "strict"}, "mute_process_all_errors": True}}
    config = running.configuration(exporters, scrapers=dict(running.ALL_SCRAPERS) | own)
    with running.collector(binary, config, room):
        time.sleep(SECONDS)
    stop()
    content = written.read_bytes() if transport == "file" else b"".join(records)
    name = "v0.160-file.jsonl.gz" if transport == "file" else f"v0.160-{transport}.otlp.gz"
    anonymous = _anonymous(content, binary, room)
    (TARGET / name).write_bytes(gzip.compress(anonymous, 9, mtime=0))
    print(f"{name}: {len(content)} bytes")


def _anonymous(content: bytes, binary: Path, room: Path) -> bytes:
    names = {str(binary): "/opt/otel/" + binary.name, str(room): "/etc/otel", _machine_id(): MACHINE_ID}
    for old, new in names.items():
        content = content.replace(old.encode(), _as_long(new, len(old)).encode())
    host = socket.gethostname()
    for before, after in ((b"\x0a" + bytes([len(host)]), b""), (b'"', b'"')):
        old_name, new_name = before + host.encode() + after, before + _as_long("box", len(host)).encode() + after
        content = content.replace(old_name, new_name)
    return content


def _machine_id() -> str:
    files = ("/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/random/boot_id")
    texts = (Path(file).read_text().strip() for file in files if Path(file).exists())
    return next(filter(None, texts))


def _as_long(text: str, length: int) -> str:
    return text[:length].ljust(length, "x")


def _grpc(keep: Keep) -> tuple[int, Callable[[], None]]:
    def export(body: bytes, _context: grpc.ServicerContext) -> bytes:
        keep(b"g", body)
        return b""

    service = "opentelemetry.proto.collector.metrics.v1.MetricsService"
    server = grpc.server(ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(export)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return port, lambda: server.stop(None).wait()


def _http(keep: Keep) -> tuple[int, Callable[[], None]]:
    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keep(b"h", self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port, server.shutdown


if __name__ == "__main__":
    sys.exit(main())
