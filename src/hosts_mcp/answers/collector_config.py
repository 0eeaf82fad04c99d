"""Configurations of an OpenTelemetry Collector to paste: whole, for Docker, for Kubernetes, and what to add to one.

Component names are the old ones (`hostmetrics`, `resourcedetection`): every collector since 2023 knows them, the new
names stop an older one. Every exporter printed here carries the endpoint and, when the server has a token, the
authorization header.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

TOKEN_FROM_ENVIRONMENT = "${env:HOSTS_MCP_TOKEN}"
"""For answers that a model reads: the collector puts the token in, the answer does not hold it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where collectors send to: this server's OTLP addresses and the token they need, if any."""

    grpc: str | None = "127.0.0.1:4317"
    """`HOST:PORT`, None while gRPC is off."""
    http: str | None = "127.0.0.1:4318"
    token: str | None = None

    def exporter(self, name: str = "hosts-mcp") -> tuple[str, str]:
        """(component id, its settings as one line of YAML): gRPC where it is on, else HTTP."""
        headers = f", headers: {{authorization: {json.dumps(f'Bearer {self.token}')}}}" if self.token else ""
        if self.grpc or not self.http:
            endpoint = json.dumps(self.grpc or "127.0.0.1:4317")
            return f"otlp/{name}", f"{{endpoint: {endpoint}, tls: {{insecure: true}}{headers}}}"
        return f"otlphttp/{name}", f"{{endpoint: {json.dumps(f'http://{self.http}')}{headers}}}"


LOCAL = Target()
IN_CLUSTER = "hosts-mcp.observability.svc:4317"

_MEMORY = "{metrics: {system.memory.limit: {enabled: true}, system.linux.memory.available: {enabled: true}}}"
_CPU = "{metrics: {system.cpu.logical.count: {enabled: true}}}"

SCRAPERS: tuple[tuple[str, str, str, str], ...] = (
    ("cpu", _CPU, "{}", "CPU busy, steal and I/O wait"),
    ("load", "{}", "{}", "load and run queue"),
    ("memory", _MEMORY, "{}", "memory used and available"),
    ("paging", "{}", "{}", "swap and major faults"),
    ("disk", "{}", "{}", "disk throughput, latency and queue"),
    ("filesystem", "{}", "{}", "filesystem fill"),
    ("network", "{}", "{}", "network throughput, errors, connections"),
    ("processes", "{}", "{}", "running and blocked tasks"),
    ("system", "{}", "", "uptime"),
)
"""Scraper of hostmetrics, its settings, its settings on a collector before 2025 ("" = unknown there: it would stop),
and what it measures."""

_DETECTION = "{detectors: [env, system], override: false, system: {hostname_sources: [os], resource_attributes: %s}}"
_DETECTED = "{host.id: {enabled: true}, host.arch: {enabled: true}}"


def whole(target: Target = LOCAL, *, older: bool = False) -> str:
    """`host.yaml`: everything a collector on one machine needs, ready to start with `--config=host.yaml`.

    `older` leaves out what a collector before 2025 does not know (an unknown key stops it).
    """
    exporter, settings = target.exporter()
    process = "{}" if older else "{mute_process_all_errors: true}"
    return f"""\
receivers:
  hostmetrics:
    collection_interval: 10s          # the default of 1m hides short spans
    scrapers:
{_scraper_lines(older, "      ")}
  hostmetrics/process:                # names who used it; optional
    collection_interval: 30s
    scrapers:
      process: {process}
  otlp:                               # applications on this machine send their spans here
    protocols:
      grpc: {{endpoint: "127.0.0.1:14317"}}
      http: {{endpoint: "127.0.0.1:14318"}}
processors:
  resourcedetection:
    detectors: [env, system]
    override: false                   # keep what the sender said
    system:
      hostname_sources: [os]
      resource_attributes: {_DETECTED}
exporters:
  {exporter}: {settings}
service:
  pipelines:
    metrics: {{receivers: [hostmetrics, hostmetrics/process], processors: [resourcedetection], exporters: [{exporter}]}}
    traces: {{receivers: [otlp], processors: [resourcedetection], exporters: [{exporter}]}}
"""


def add(target: Target = LOCAL, *, older: bool = False) -> str:
    """What an existing collector lacks, as a second file: `--config=existing.yaml --config=hosts-mcp.yaml`.

    Its components and pipelines have names of their own, so that merging changes nothing of what is there. The
    traces pipeline reads the existing `otlp` receiver.
    """
    exporter, settings = target.exporter()
    own = "hosts-mcp"
    scrapers = ", ".join(f"{name}: {old if older else new}" for name, new, old, _ in SCRAPERS if not older or old)
    processors = f"processors: [resourcedetection/{own}], exporters: [{exporter}]"
    return f"""\
receivers: {{hostmetrics/{own}: {{collection_interval: 10s, scrapers: {{{scrapers}}}}}}}
processors: {{resourcedetection/{own}: {_DETECTION % _DETECTED}}}
exporters: {{{exporter}: {settings}}}
service:
  pipelines:
    metrics/{own}: {{receivers: [hostmetrics/{own}], {processors}}}
    traces/{own}: {{receivers: [otlp], {processors}}}
"""


def scrapers_to_add(names: Iterable[str], *, older: bool = False) -> str:
    """The lines under `receivers` that switch on these scrapers (`process` gets a receiver of its own)."""
    wanted = set(names)
    parts = []
    if lines := _scraper_lines(older, "      ", wanted):
        parts.append(f"  hostmetrics:\n    scrapers:\n{lines}")
    if "process" in wanted:
        settings = "{}" if older else "{mute_process_all_errors: true}"
        parts.append(
            "  hostmetrics/process:             # also in service.pipelines.metrics.receivers\n"
            f"    collection_interval: 30s\n    scrapers:\n      process: {settings}"
        )
    return "receivers:\n" + "\n".join(parts) + "\n" if parts else ""


def docker(target: Target = LOCAL) -> tuple[tuple[str, str], ...]:
    """(file name, content) of everything to watch a Docker host from a container."""
    return (
        ("host.yaml", whole(target)),
        ("docker.yaml", _DOCKER),
        (
            "compose.yaml",
            _COMPOSE % _token_line(target, "      HOSTS_MCP_TOKEN: ${HOSTS_MCP_TOKEN:?set to the token}\n"),
        ),
    )


def kubernetes(target: Target = LOCAL) -> tuple[tuple[str, str], ...]:
    """(file name, content) of a DaemonSet that reports every node, and the configuration its ConfigMap holds.

    A loopback address means nothing to another machine: a service's name stands for it.
    """
    if (target.grpc or target.http or "127.").startswith(("127.", "localhost", "[::1]")):
        target = replace(target, grpc=IN_CLUSTER, http=None)
    token = "            - {name: HOSTS_MCP_TOKEN, valueFrom: {secretKeyRef: {name: hosts-mcp, key: token}}}\n"
    return (
        ("host.yaml", whole(target)),
        ("k8s.yaml", _KUBERNETES),
        ("daemonset.yaml", _DAEMONSET % _token_line(target, token)),
    )


def bare(yaml: str) -> str:
    """The same YAML without its comments, for where bytes are scarce."""
    return "\n".join(line.split(" #", 1)[0].rstrip() for line in yaml.splitlines()) + "\n"


def _scraper_lines(older: bool, indent: str, wanted: set[str] | None = None) -> str:
    return "\n".join(
        f"{indent}{name}: {old if older else new}"
        for name, new, old, _ in SCRAPERS
        if (wanted is None or name in wanted) and (old or not older)
    )


def _token_line(target: Target, line: str) -> str:
    return line if target.token == TOKEN_FROM_ENVIRONMENT else ""


_DOCKER = """\
receivers:
  hostmetrics: {root_path: /hostfs}
  hostmetrics/process: {root_path: /hostfs}
  otlp:
    protocols:
      grpc: {endpoint: "172.17.0.1:14317"}       # the bridge's address, reachable from containers
      http: {endpoint: "172.17.0.1:14318"}
processors:                                      # containers name themselves by their id: overwrite that,
  resourcedetection: {override: true}            # only where every sender runs on this machine
"""

_COMPOSE = """\
services:
  otel-agent:
    image: otel/opentelemetry-collector-contrib   # pin a version
    command: ["--config=/conf/host.yaml", "--config=/conf/docker.yaml"]
    user: "0:0"
    network_mode: host               # else the network metrics are the container's
    pid: host
    cap_add: [SYS_PTRACE]
    environment:
      OTEL_RESOURCE_ATTRIBUTES: "host.name=${HOST_NAME:?set to the name of the machine}"
%s    volumes: ["/:/hostfs:ro,rslave", "/etc/machine-id:/etc/machine-id:ro", "./conf:/conf:ro"]
"""

_KUBERNETES = """\
receivers:
  hostmetrics:
    root_path: /hostfs
    scrapers:
      filesystem:
        exclude_mount_points:         # one per pod volume otherwise
          match_type: regexp
          mount_points: ["^/(dev|proc|sys|snap|run/k3s/containerd|var/lib/docker|var/lib/kubelet)($|/)"]
  hostmetrics/process: {root_path: /hostfs}
  otlp:
    protocols:
      grpc: {endpoint: "${env:NODE_IP}:4317"}
      http: {endpoint: "${env:NODE_IP}:4318"}
"""

_DAEMONSET = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: otel-agent}
spec:
  selector: {matchLabels: {app: otel-agent}}
  template:
    metadata: {labels: {app: otel-agent}}
    spec:
      hostNetwork: true
      dnsPolicy: ClusterFirstWithHostNet
      tolerations: [{operator: Exists}]
      containers:
        - name: otel-agent
          image: otel/opentelemetry-collector-contrib   # pin a version
          args: ["--config=/conf/host.yaml", "--config=/conf/k8s.yaml"]
          securityContext: {runAsUser: 0, capabilities: {add: [SYS_PTRACE]}}
          env:
            - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
            - {name: NODE_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
            - {name: OTEL_RESOURCE_ATTRIBUTES, value: "host.name=$(NODE_NAME),k8s.node.name=$(NODE_NAME)"}
%s          volumeMounts:
            - {name: conf, mountPath: /conf}
            - {name: hostfs, mountPath: /hostfs, readOnly: true, mountPropagation: HostToContainer}
            - {name: machine-id, mountPath: /etc/machine-id, readOnly: true}
      volumes:
        - {name: conf, configMap: {name: otel-agent}}   # kubectl create configmap otel-agent --from-file=conf
        - {name: hostfs, hostPath: {path: /}}
        - {name: machine-id, hostPath: {path: /etc/machine-id, type: File}}
"""
