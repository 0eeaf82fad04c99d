"""The README's block "More boxes": a server for other machines, and a collector configuration that reaches it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import httpx
import pytest
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from ports import free_ports
from waiting import is_ready, wait_until

ROOT = Path(__file__).parents[2]
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


def block(ports: list[int]) -> str:
    readme = (ROOT / "README.md").read_text()
    (found,) = re.findall(r"## More boxes.*?```sh\n(.*?)```.*?## Connect", readme, re.DOTALL)
    for usual, free in zip(("8787", "4317", "4318"), ports, strict=True):
        assert f"0.0.0.0:{usual}" in found
        found = found.replace(f"0.0.0.0:{usual}", f"0.0.0.0:{free}")
    return str(found)


def one_point() -> bytes:
    request = ExportMetricsServiceRequest()
    rm = request.resource_metrics.add()
    rm.resource.attributes.add(key="host.name").value.string_value = "other-box"
    points = rm.scope_metrics.add().metrics.add(name="system.cpu.load_average.1m").gauge.data_points
    points.add(time_unix_nano=time.time_ns(), as_double=1.0)
    return request.SerializeToString()


def test_what_the_block_prints_reaches_what_it_started_and_nothing_else_does(tmp_path: Path) -> None:
    app, over_grpc, _ = ports = free_ports(3)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "hosts-mcp").symlink_to(Path(sys.executable).with_name("hosts-mcp"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HOSTS_MCP_")}
    environment = kept | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "PATH": f"{tools}:{kept['PATH']}"}
    script = subprocess.Popen(
        ["bash", "-ec", block(ports)], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL,
        stderr=(tmp_path / "told").open("w"), start_new_session=True,
    )  # fmt: skip
    try:
        assert script.wait(60) == 0, (tmp_path / "told").read_text()
        token = (tmp_path / "hosts-mcp.token").read_text().strip()
        assert (tmp_path / "hosts-mcp.token").stat().st_mode & 0o077 == 0
        (exporter,) = yaml.safe_load((tmp_path / "other-box.yaml").read_text())["exporters"].values()
        assert exporter["endpoint"] == f"{socket.gethostname()}:{over_grpc}"
        assert exporter["headers"] == {"authorization": f"Bearer {token}"}
        wait_until(lambda: is_ready(f"http://127.0.0.1:{app}/healthz"), "the server is up")
        with grpc.insecure_channel(f"127.0.0.1:{over_grpc}") as channel:  # the name may not resolve everywhere
            call = channel.unary_unary(EXPORT)
            call(one_point(), metadata=list(exporter["headers"].items()), timeout=20)
            with pytest.raises(grpc.RpcError) as refused:
                call(one_point(), timeout=20)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        asked = f"http://127.0.0.1:{app}/api/v1/hosts"
        names = {"Host": f"{socket.gethostname()}:{app}"}
        assert httpx.get(asked, headers=names).status_code == 401
        answer = httpx.get(asked, headers=names | exporter["headers"])
        assert [host["host"] for host in answer.json()["hosts"]] == ["other-box"]
    finally:
        os.killpg(script.pid, signal.SIGTERM)
