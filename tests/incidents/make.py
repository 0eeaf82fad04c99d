"""Makes real incidents on this machine beside a traced worker, watched by a real collector, and keeps the recording.

    python tests/incidents/make.py NAME [--seconds 45] [--between 30] [--only cpu_neighbour sleep ...]

The round is written to fixtures/incidents/NAME in the form that `rounds.py` reads. Only processes of the scene are
kept, and what names this machine is replaced. Memory is filled to a safe bound. About twelve minutes with all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from collector import build
from collector.running import ALL_SCRAPERS, DETECTION, PROCESS, collector, configuration
from incidents import troubles
from ports import free_ports

TARGET = Path(__file__).parents[2] / "fixtures" / "incidents"
HOST, MACHINE_ID = "incident-box", "5f0c1d2e3b4a59687786a5b4c3d2e1f0"
WARM_UP_SECONDS = 120
"""Forty runs, so that incidents as dense as these do not become what is usual."""


@dataclass(frozen=True, slots=True)
class Kind:
    truth: str
    resource: str | None = None
    origin: str | None = None
    culprit: str | None = None
    trouble: troubles.Trouble = troubles.nothing
    mode: str = "calm"
    kill: bool = False


KINDS = {
    "cpu_neighbour": Kind("host", "cpu", "neighbour", "crunch.py", troubles.cpu_neighbour),
    "sleep": Kind("app", mode="sleep"),
    "disk_neighbour": Kind("host", "disk", "neighbour", "backup.py", troubles.disk_neighbour),
    "lock": Kind("app", mode="lock"),
    "pg_vacuum": Kind("host", "disk", "neighbour", "postgres", troubles.pg_vacuum),
    "slow_peer": Kind("app", mode="slow_peer"),
    "cpu_self": Kind("host", "cpu", "own_workload", mode="burn"),
    "exception": Kind("app", mode="exception"),
    "mem_neighbour": Kind("maybe", "memory", "neighbour", "compact.py", troubles.mem_neighbour),
    "more_work": Kind("app", mode="more_work"),
    "kill_calm": Kind("app", kill=True),
    "slow_peer_on_busy_box": Kind("app", trouble=troubles.busy, mode="slow_peer"),
}


class Peer(BaseHTTPRequestHandler):
    """The model: answers after as many seconds as the path says."""

    def do_GET(self) -> None:
        time.sleep(float(self.path[1:]))
        with contextlib.suppress(BrokenPipeError):  # a killed worker does not wait for it
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        return


class Scene:
    """Collector, peer and worker; and which processes were ever part of it."""

    def __init__(self, room: Path) -> None:
        self.room = room
        self.pids: set[int] = set()
        self.worker: subprocess.Popen[bytes] | None = None
        self.incidents: list[dict[str, Any]] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        otlp, peer_port = free_ports(2)
        peer = ThreadingHTTPServer(("127.0.0.1", peer_port), Peer)
        threading.Thread(target=peer.serve_forever, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()
        (self.room / "mode").write_text("calm")
        with collector(build.build(), self._configuration(otlp), self.room):
            time.sleep(2)
            self.command = [
                sys.executable, str(Path(__file__).with_name("worker.py")), f"http://127.0.0.1:{otlp}",
                str(self.room), str(peer_port),
            ]  # fmt: skip
            self.start_worker()
            yield
            self.stop_worker(signal.SIGTERM)
            time.sleep(12)  # the last scrape after the last trace
        peer.shutdown()

    def start_worker(self) -> None:
        self.worker = subprocess.Popen(self.command)

    def stop_worker(self, number: int) -> None:
        assert self.worker is not None
        self.worker.send_signal(number)
        self.worker.wait()

    def make(self, name: str, kind: Kind, seconds: float) -> None:
        with kind.trouble(self.room):
            (self.room / "mode").write_text(kind.mode)
            start = time.time_ns()
            time.sleep(seconds)
            if kind.kill:
                self.stop_worker(signal.SIGKILL)
            end = time.time_ns()
            (self.room / "mode").write_text("calm")
        if kind.kill:
            time.sleep(8)
            self.start_worker()
        self.incidents.append(
            {"name": name, "truth": kind.truth, "resource": kind.resource, "origin": kind.origin,
             "culprit": kind.culprit, "start_ns": start, "end_ns": end}
        )  # fmt: skip

    def _watch(self) -> None:
        """Notes every process that this one ever started, whoever is its parent."""
        own = psutil.Process()
        while True:
            with contextlib.suppress(psutil.Error):
                self.pids.update(child.pid for child in own.children(recursive=True))
            time.sleep(0.5)

    def _configuration(self, otlp: int) -> dict[str, Any]:
        config = configuration({"file/metrics": {"path": str(self.room / "metrics.jsonl")}}, interval="5s",
                               scrapers=ALL_SCRAPERS)  # fmt: skip
        config["receivers"]["hostmetrics/processes"] = {"collection_interval": "10s", "scrapers": PROCESS}
        config["receivers"]["otlp"] = {"protocols": {"http": {"endpoint": f"127.0.0.1:{otlp}"}}}
        config["exporters"]["file/traces"] = {"path": str(self.room / "spans.jsonl")}
        config["processors"]["resourcedetection"] = DETECTION
        pipelines = config["service"]["pipelines"]
        pipelines["metrics"]["receivers"].append("hostmetrics/processes")
        pipelines["traces"] = {
            "receivers": ["otlp"], "processors": ["resourcedetection"], "exporters": ["file/traces"],
        }  # fmt: skip
        return config


def attribute(resource: dict[str, Any], key: str) -> Any:
    for one in resource.get("attributes", ()):
        if one["key"] == key:
            return next(iter(one["value"].values()))
    return None


def neutral(text: str, room: Path) -> str:
    """Without what names this machine."""
    root = Path(__file__).parents[2]
    names = {
        str(room): "/srv/scene", str(root): "/opt/scene", str(Path(sys.prefix)): "/opt/python",
        str(Path(sys.executable).resolve().parents[1]): "/opt/python", str(build.cache_directory()): "/opt/otel",
        socket.gethostname(): HOST,
    }  # fmt: skip
    with contextlib.suppress(troubles.NoPostgres):
        names[str(troubles.postgres_bin())] = "/usr/lib/postgresql/bin"
    for old, new in sorted(names.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(old, new)
    return text


def kept(scene: Scene) -> Iterator[str]:
    """The metrics of the host and of the scene's processes, line by line."""
    for line in (scene.room / "metrics.jsonl").read_text().splitlines():
        request = json.loads(line)
        request["resourceMetrics"] = [
            one for one in request["resourceMetrics"]
            if (pid := attribute(one["resource"], "process.pid")) is None or int(pid) in scene.pids
        ]  # fmt: skip
        yield neutral(with_neutral_id(request), scene.room)


def with_neutral_id(request: dict[str, Any]) -> str:
    for one in request.get("resourceMetrics", request.get("resourceSpans", ())):
        for pair in one["resource"].get("attributes", ()):
            if pair["key"] == "host.id":
                pair["value"] = {"stringValue": MACHINE_ID}
            if pair["key"] == "process.owner":
                pair["value"] = {"stringValue": "scene"}
    return json.dumps(request, separators=(",", ":"))


def write(scene: Scene, name: str) -> None:
    place = TARGET / name
    place.mkdir(parents=True, exist_ok=True)
    spans = (scene.room / "spans.jsonl").read_text().splitlines()
    texts = {
        "metrics.jsonl.gz": "\n".join(kept(scene)),
        "traces.jsonl.gz": "\n".join(neutral(with_neutral_id(json.loads(line)), scene.room) for line in spans),
        "traces.jsonl": (scene.room / "traces.jsonl").read_text(),
        "incidents.jsonl": "".join(json.dumps(one) + "\n" for one in scene.incidents),
    }
    for file, text in texts.items():
        data = text.encode()
        (place / file).write_bytes(gzip.compress(data, 9, mtime=0) if file.endswith(".gz") else data)
        print(f"{file}: {(place / file).stat().st_size} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("name")
    parser.add_argument("--seconds", type=float, default=45, help="how long each incident lasts")
    parser.add_argument("--between", type=float, default=30, help="calm seconds between incidents")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="incidents-") as room:
        scene = Scene(Path(room))
        with scene.running():
            print(f"calm for {WARM_UP_SECONDS} s")
            time.sleep(WARM_UP_SECONDS)
            for name in asked.only:
                print(name, flush=True)
                try:
                    scene.make(name, KINDS[name], asked.seconds)
                except troubles.NoPostgres as reason:
                    print(f"  left out: {reason}")
                time.sleep(asked.between)
        write(scene, asked.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
