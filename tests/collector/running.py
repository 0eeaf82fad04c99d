"""A collector process: its configuration as data, started and ended by a context manager."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ALL_SCRAPERS: Mapping[str, Any] = {
    "cpu": {"metrics": {"system.cpu.logical.count": {"enabled": True}}},
    "load": {},
    "memory": {
        "metrics": {
            "system.memory.limit": {"enabled": True},
            "system.linux.memory.available": {"enabled": True},
        }
    },
    "paging": {},
    "disk": {},
    "filesystem": {},
    "network": {},
    "processes": {},
    "system": {},
}
PROCESS = {"process": {"mute_process_all_errors": True}}
DETECTION = {
    "detectors": ["env", "system"],
    "override": False,
    "system": {
        "hostname_sources": ["os"],
        "resource_attributes": {"host.id": {"enabled": True}, "host.arch": {"enabled": True}},
    },
}


def configuration(
    exporters: Mapping[str, Any],
    *,
    scrapers: Mapping[str, Any] | None = None,
    interval: str = "1s",
    batch: bool = False,
) -> dict[str, Any]:
    """Host metrics with resource detection, each scrape to every exporter."""
    processors: dict[str, Any] = {"resourcedetection": DETECTION} | ({"batch": {}} if batch else {})
    return {
        "receivers": {
            "hostmetrics": {
                "collection_interval": interval,
                "initial_delay": "0s",
                "scrapers": dict(scrapers if scrapers is not None else {**ALL_SCRAPERS, **PROCESS}),
            }
        },
        "processors": processors,
        "exporters": dict(exporters),
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {
                "metrics": {
                    "receivers": ["hostmetrics"],
                    "processors": list(processors),
                    "exporters": list(exporters),
                }
            },
        },
    }


def quick_retries(endpoint: str) -> dict[str, Any]:
    """Exporter settings that try again at once, so that a restarted server is found within a second."""
    return {
        "endpoint": endpoint,
        "tls": {"insecure": True},
        "retry_on_failure": {"initial_interval": "200ms", "max_interval": "500ms", "max_elapsed_time": "60s"},
        "sending_queue": {"queue_size": 10_000},
    }


@contextlib.contextmanager
def collector(
    binary: Path, config: dict[str, Any] | str, room: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The collector with this configuration (data or YAML text), its log in `room`; ended by SIGTERM."""
    file = room / "collector.yaml"
    file.write_text(config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False))
    with (room / "collector.log").open("wb") as log:
        process = subprocess.Popen(
            [str(binary), f"--config={file}"], stdout=log, stderr=log, env=os.environ | environment
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
