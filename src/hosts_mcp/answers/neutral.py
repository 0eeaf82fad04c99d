"""Neutral names for everything in a case that could say whose it is, the same one for the same original everywhere.

Numbers follow the order of the originals, so that what is decided by order stays decided that way. Kept as they are:
names that say what a thing is and not whose (kernel devices, usual mount points, interpreters, widely known programs,
enumerations), because the verdict depends on them. The table of well-known programs is what may name a culprit.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from hosts_mcp.diagnosis.consumers import COLLECTOR, INTERPRETERS
from hosts_mcp.diagnosis.errors import classify
from hosts_mcp.hosts.names import fold
from hosts_mcp.otlp.batch import Slot

_PROGRAMS = """
postgres postmaster mysqld mariadbd mongod redis-server memcached clickhouse-server clickhouse etcd consul
vault nginx httpd apache2 haproxy envoy caddy traefik php-fpm uwsgi gunicorn uvicorn celery puma dockerd
containerd containerd-shim containerd-shim-runc-v2 runc kubelet kube-proxy crio podman otelcol
otelcol-contrib prometheus node_exporter grafana fluent-bit fluentd vector telegraf systemd systemd-journald
sshd cron crond rsyslogd snapd packagekitd unattended-upgr apt-get apt dpkg dnf yum rpm gzip pigz bzip2 xz
zstd tar rsync dd cp find grep sort cat restic borg rclone pg_dump pg_basebackup mysqldump fio stress
stress-ng sysbench ffmpeg gcc cc1 cc1plus clang rustc cargo go make ld git kswapd0 rabbitmq-server beam.smp
cassandra elasticsearch kafka zookeeper minio s3fs nfsd clamd clamscan updatedb updatedb.mlocate mlocate
"""
WELL_KNOWN = frozenset(_PROGRAMS.split())
_TITLES = ("autovacuum worker", "autovacuum launcher", "checkpointer", "background writer", "walwriter", "walsender",
           "walreceiver", "startup", "logical replication launcher", "parallel worker")  # fmt: skip
"""What Postgres calls its own workers; any other title holds a user and a database."""

_ENUMERATIONS = frozenset(
    {"state", "direction", "status", "type", "mode", "protocol", "cpu", "family", "fstype", "core"}
)
"""Last words of the names of point attributes whose values are words of the convention."""
_DEVICE = re.compile(
    r"(/dev/)?((sd|vd|xvd|hd)[a-z]{1,2}\d*|nvme\d+n\d+(p\d+)?|mmcblk\d+(p\d+)?|(dm-|md|loop|ram|sr|zram|nbd|rbd)\d+|"
    r"tmpfs|overlay|shm|udev|none|devtmpfs)|[A-Z]:"
)
_LINK = re.compile(
    r"lo\d*|eth\d+|en[ops]\w{1,8}|wlan\d+|wlp\w{1,8}|(bond|team)\d+|docker0|cni0|tun\d+|tap\d+|(eth|en[ops]\w{1,8}|bond)\d*\.\d+"
)
_CPU = re.compile(r"(cpu)?(\d+|-total)")
_LINK_FAMILY = re.compile(r"(veth|br-|cali|cni|docker|flannel|virbr|tap|tun|wg|lxc|vnet)")
_MOUNTS = frozenset(
    {"/", "/boot", "/boot/efi", "/home", "/var", "/var/log", "/var/lib", "/tmp", "/usr", "/opt", "/srv"}
)
_MOUNT_FAMILY = re.compile(
    r"(/snap|/run|/sys|/proc|/dev|/var/lib/docker|/var/lib/kubelet|/var/lib/containers|/var/snap|/private/var|/System)(/|$)"
)
_LOCAL = re.compile(r"localhost|127\.\d+\.\d+\.\d+|\[?::1\]?|0\.0\.0\.0|(unix:)?/.*sock.*")
_HEX = re.compile(r"[0-9a-f-]{12,}", re.IGNORECASE)
_PREFIX = 12
"""A container's host name is the first twelve digits of its id."""
_EXCEPTIONS = """
MemoryError OSError IOError TimeoutError ConnectionError ConnectionResetError ConnectionRefusedError
ValueError KeyError TypeError IndexError RuntimeError BrokenPipeError PermissionError FileNotFoundError
AssertionError AttributeError LookupError ArithmeticError ZeroDivisionError NotImplementedError
StopIteration UnicodeError OutOfMemoryError NullPointerException IllegalStateException IOException
SocketTimeoutException WorkerLostError
"""
_BUILTIN = frozenset(_EXCEPTIONS.split())


class Names:
    """`Names(hosts=…, services=…, …)` with every original there is; each method gives the neutral one."""

    def __init__(
        self,
        *,
        hosts: Mapping[str, int],
        services: Iterable[str],
        operations: Iterable[str],
        programs: Iterable[str] = (),
        scripts: Iterable[str] = (),
        peers: Iterable[str] = (),
        traces: Iterable[bytes] = (),
        spans: Iterable[bytes] = (),
    ) -> None:
        """`hosts`: every name and alias of each machine -> that machine's number in the order of the names."""
        self._hosts = {fold(name): f"host-{number:03d}" for name, number in hosts.items()}
        self._tables: dict[str, dict[str, str]] = {
            "service": _numbered("service", services),
            "operation": _numbered("operation", operations),
            "program": _numbered("program", (p for p in programs if not kept_program(p))),
            "script": _numbered("script", scripts),
            "peer": _numbered("peer", (p for p in peers if not _LOCAL.fullmatch(p) and fold(p) not in self._hosts)),
        }
        self._trace_ids = {t: n.to_bytes(16, "big") for n, t in enumerate(sorted(set(traces)), 1)}
        self._span_ids = {s: n.to_bytes(8, "big") for n, s in enumerate(sorted(set(spans)), 1)}

    def host(self, name: str) -> str:
        if _HEX.fullmatch(name) and fold(name) not in self._hosts:
            return self.identifier(name)
        return self._hosts.get(fold(name)) or self.of("elsewhere", name)

    def call(self, original: str, neutral: str) -> None:
        """What the answer calls a host by: a container's key is its workload's name."""
        self._hosts[fold(original)] = neutral

    def service(self, name: str) -> str:
        return self.of("service", name) if name else ""

    def operation(self, name: str) -> str:
        return self.of("operation", name)

    def program(self, executable: str) -> str:
        """The executable itself where it is an interpreter, a collector or widely known."""
        return executable if kept_program(executable) or not executable else self.of("program", executable)

    def script(self, script: str) -> str:
        """A script as `script-001.py`, so that it is recognised as one again; Postgres's own titles stay."""
        if script.startswith("postgres"):
            return next((f"postgres: {word}" for word in _TITLES if word in script), "postgres: backend")
        return f"{self.of('script', script)}.py"

    def peer(self, address: str) -> str:
        if _LOCAL.fullmatch(address):
            return "localhost"
        return self._hosts.get(fold(address)) or f"{self.of('peer', address)}.example"

    def trace_id(self, trace_id: bytes) -> bytes:
        return self._trace_ids.setdefault(trace_id, (len(self._trace_ids) + 1).to_bytes(16, "big"))

    def span_id(self, span_id: bytes) -> bytes:
        if not span_id.strip(b"\0"):
            return b""
        return self._span_ids.setdefault(span_id, (len(self._span_ids) + 1).to_bytes(8, "big"))

    def identifier(self, value: str) -> str:
        """Hex digits of the same length; the same beginning for the same beginning (a container's id and host name)."""
        begin = value.lower()[:_PREFIX]
        table = self._tables.setdefault("id", {})
        number = table.setdefault(begin, str(len(table) + 1))
        return (hashlib.sha256(f"id {number}".encode()).hexdigest() * 2)[: max(_PREFIX, min(len(value), 64))]

    def slot(self, slot: Slot) -> Slot:
        return Slot(slot.metric, slot.kind, tuple((k, self._label(k, v)) for k, v in slot.attributes), slot.unit)

    def of(self, kind: str, value: str) -> str:
        """A neutral name of that kind; a new number when the original was not announced."""
        table = self._tables.setdefault(kind, {})
        if value not in table:
            table[value] = f"{kind}-{len(table) + 1:03d}"
        return table[value]

    def known(self, kind: str) -> Mapping[str, str]:
        """Original -> neutral name, of that kind."""
        return self._tables.get(kind, {})

    def _label(self, key: str, value: str | bool | int | float) -> str | bool | int | float:
        if not isinstance(value, str) or key.rsplit(".", 1)[-1] in _ENUMERATIONS or not value:
            return value
        if key in ("host", "host.name", "nodename"):
            return self.host(value)
        if value.startswith("/") and not value.startswith("/dev/"):
            family = _MOUNT_FAMILY.match(value)
            return value if value in _MOUNTS else (family.group(1) if family else "") + f"/{self.of('mount', value)}"
        if (
            _DEVICE.fullmatch(value)
            or _LINK.fullmatch(value)
            or value.replace("cpu", "").replace("-total", "").isdigit()
        ):
            return value
        link = _LINK_FAMILY.match(value)
        return (link.group(1) if link else "") + self.of("device", value)


def kept_program(executable: str) -> bool:
    return bool(executable in WELL_KNOWN or INTERPRETERS.match(executable) or COLLECTOR.search(executable))


def error_type(text: str) -> str:
    """The name of the exception where every program has it."""
    bare = text.rsplit(".", 1)[-1]
    return bare if bare in _BUILTIN else neutral_text(text) or ("Error" if text else "")


def neutral_text(text: str) -> str:
    """The words of a text that say what kind of failure it was; empty when none does."""
    return classify([text])[1] or ""


def _numbered(kind: str, originals: Iterable[str]) -> dict[str, str]:
    return {name: f"{kind}-{number:03d}" for number, name in enumerate(sorted({o for o in originals if o}), 1)}
