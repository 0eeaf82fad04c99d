"""A real collector against a running server: both transports, a restart in between, and /proc as the judge."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from hosts_mcp.answers import collector_config
from hosts_mcp.diagnosis import patches
from ports import free_ports
from waiting import wait_until

from .conftest import Server
from .running import collector, configuration, quick_retries

pytestmark = [pytest.mark.collector, pytest.mark.long]

HOST = socket.gethostname()


def exporters(server: Server, transport: str, written: Path) -> dict[str, Any]:
    if transport == "grpc":
        sending = {"otlp": quick_retries(f"127.0.0.1:{server.grpc_port}")}
    else:
        sending = {"otlphttp": quick_retries(f"http://127.0.0.1:{server.http_port}")}
    return sending | {"file": {"path": str(written)}}


def points_in(written: Path) -> int:
    """Number points in what the file exporter wrote of the same scrapes."""
    return sum(
        len(next(metric[kind] for kind in ("sum", "gauge") if kind in metric).get("dataPoints", ()))
        for line in written.read_text().splitlines()
        for of_resource in json.loads(line)["resourceMetrics"]
        for in_scope in of_resource["scopeMetrics"]
        for metric in in_scope["metrics"]
    )


def seen(server: Server) -> dict[str, Any] | None:
    return next((host for host in server.hosts() if HOST.lower() in json.dumps(host).lower()), None)


def stored(server: Server) -> int:
    host = seen(server)
    return int(server.get(f"/api/v1/hosts/{host['host']}?stored=true")["stored"]["points"]) if host else 0


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_a_restart_of_the_server_loses_nothing(binary: Path, server: Server, tmp_path: Path, transport: str) -> None:
    written = tmp_path / "written.jsonl"
    with collector(binary, configuration(exporters(server, transport, written)), tmp_path):
        wait_until(lambda: stored(server) > 0, "the host is there")
        server.stop()
        time.sleep(2.5)
        server.start()
        before = stored(server)
        wait_until(lambda: stored(server) > before, "scrapes arrive again")
        time.sleep(1.5)  # the file exporter flushes once a second
        due = points_in(written)
        wait_until(lambda: stored(server) >= due, "what was scraped meanwhile arrives by the collector's retries")
    wait_until(lambda: stored(server) >= points_in(written), "everything the collector wrote is stored")
    assert stored(server) == points_in(written)


def test_a_host_is_live_and_a_scrape_is_seen_within_a_second(binary: Path, server: Server, tmp_path: Path) -> None:
    with collector(binary, configuration(exporters(server, "grpc", tmp_path / "written.jsonl")), tmp_path):
        host = wait_until(lambda: seen(server), "the host is there")
        in_sight = []
        for _ in range(15):  # out of step with the scrapes: two seconds are one to scrape and one to be seen
            time.sleep(0.37)
            answer = server.get(f"/api/v1/hosts/{host['host']}/metrics?metrics=memory_used_ratio&range=2s")
            in_sight.append(bool(answer["metrics"]) and answer["metrics"][0]["last"] is not None)
        found = seen(server)
    assert found is not None
    assert found["status"] == "live"
    assert all(in_sight)


def test_the_printed_configuration_starts_unchanged(binary: Path, server: Server, tmp_path: Path) -> None:
    """Only the endpoint is this test's, and the ports on which applications would send to the collector."""
    printed = collector_config.whole(collector_config.Target(grpc=f"127.0.0.1:{server.grpc_port}", http=None))
    for usual, free in zip(("14317", "14318"), map(str, free_ports(2)), strict=True):
        printed = printed.replace(usual, free)
    with collector(binary, printed, tmp_path) as process:
        host = wait_until(lambda: seen(server), "the host is there")
        assert process.poll() is None
    assert host["cpu_cores"] == psutil.cpu_count()


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_the_printed_configuration_is_valid(binary: Path, tmp_path: Path, transport: str) -> None:
    target = collector_config.Target(token="t") if transport == "grpc" else collector_config.Target(grpc=None)
    whole, more = tmp_path / "whole.yaml", tmp_path / "more.yaml"
    whole.write_text(collector_config.whole(target))
    more.write_text(collector_config.add(target))
    for files in ([whole], [whole, more]):
        configs = [f"--config={file}" for file in files]
        checked = subprocess.run([binary, "validate", *configs], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("patch", ["SCRAPER", "MEMORY", "INTERVAL", "PROCESS", "SPANS"])
def test_lines_that_a_verdict_offers_merge_into_a_configuration_that_exists(
    binary: Path, tmp_path: Path, patch: str
) -> None:
    whole, more = tmp_path / "whole.yaml", tmp_path / "more.yaml"
    exporter, settings = collector_config.LOCAL.exporter()
    whole.write_text(collector_config.whole().replace(f"{exporter}: {settings}", f"otlp: {settings}")
                     .replace(f"[{exporter}]", "[otlp]"))  # fmt: skip
    more.write_text(getattr(patches, patch).format(name="paging") if patch == "SCRAPER" else getattr(patches, patch))
    checked = subprocess.run(
        [binary, "validate", f"--config={whole}", f"--config={more}"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    "seconds", [pytest.param(14, id="short"), pytest.param(60, id="a_minute", marks=pytest.mark.long)]
)
def test_every_value_is_within_five_percent_of_proc(binary: Path, server: Server, tmp_path: Path, seconds: int) -> None:
    config = configuration(exporters(server, "grpc", tmp_path / "written.jsonl"))
    with collector(binary, config, tmp_path), load(tmp_path):
        host = wait_until(lambda: seen(server), "the host is there")
        time.sleep(3)
        before, start = proc(), time.time()
        time.sleep(seconds)
        after, end = proc(), time.time()
        time.sleep(2)
        span = f"{int(start * 1e9)}..{int(end * 1e9)}"
        rows = server.get(f"/api/v1/hosts/{host['host']}/metrics?range={span}")["metrics"]
    told = {row["signal"]: row for row in rows if not row.get("subject")}
    truth = rates(before, after, end - start)
    for signal, (expected, floor) in truth.items():
        assert told[signal]["avg"] == pytest.approx(expected, rel=0.05, abs=floor), signal
    memory = psutil.virtual_memory()
    assert told["memory_used_ratio"]["last"] == pytest.approx(1 - memory.available / memory.total, abs=0.05)


def proc() -> dict[str, float]:
    """Cumulative, read from /proc."""
    cpu, disks, cards = psutil.cpu_times(), psutil.disk_io_counters(perdisk=True), psutil.net_io_counters(pernic=True)
    whole = [d for name, d in disks.items() if not name.startswith(("loop", "ram", "zram", "fd", "sr", "dm-", "md"))
             and not any(name != other and name.startswith(other) for other in disks)]  # fmt: skip
    outside = [c for name, c in cards.items() if not name.startswith(("lo", "veth", "docker", "br-", "cni", "virbr"))]
    counted = cpu.user + cpu.system + cpu.idle + cpu.nice + cpu.iowait + cpu.irq + cpu.softirq + cpu.steal
    return {
        "busy": counted - cpu.idle - cpu.iowait, "all": counted,
        "disk_write": sum(d.write_bytes for d in whole), "disk_read": sum(d.read_bytes for d in whole),
        "received": sum(c.bytes_recv for c in outside), "sent": sum(c.bytes_sent for c in outside),
    }  # fmt: skip


def rates(before: dict[str, float], after: dict[str, float], seconds: float) -> dict[str, tuple[float, float]]:
    """Signal -> (truth, absolute tolerance for what hardly moves)."""
    change = {name: after[name] - before[name] for name in before}
    return {
        "cpu_busy_ratio": (change["busy"] / change["all"], 0.02),
        "disk_write_bytes_per_second": (change["disk_write"] / seconds, 400_000),
        "disk_read_bytes_per_second": (change["disk_read"] / seconds, 400_000),
        "network_receive_bytes_per_second": (change["received"] / seconds, 20_000),
        "network_transmit_bytes_per_second": (change["sent"] / seconds, 20_000),
    }


LOAD = """
import os, socket, sys, threading, time
def burn():
    while True: sum(range(20_000))
def talk():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        for _ in range(20):
            try: sock.sendto(bytes(1200), ("192.0.2.1", 9))
            except OSError: pass
        time.sleep(.02)
def write():
    with open(sys.argv[1], "wb", 0) as file:
        while True:
            file.seek(0); file.write(bytes(2 << 20)); os.fsync(file.fileno()); time.sleep(.1)
for work in (talk, write): threading.Thread(target=work, daemon=True).start()
burn()
"""
"""Half a box of CPU, fsynced writes, and datagrams to a documentation address, all at a steady pace."""


@contextmanager
def load(room: Path) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", LOAD, str(room / "written")])
    try:
        yield
    finally:
        process.kill()
        process.wait()
