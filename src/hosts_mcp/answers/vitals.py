"""A host at one moment: its own present, and the newest value of each derived signal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from hosts_mcp.answers.base import when
from hosts_mcp.hosts.status import Status, status
from hosts_mcp.signals.model import BoxFacts, Samples
from hosts_mcp.signals.samples import derive, groups_of
from hosts_mcp.store.protocol import Host, Store
from hosts_mcp.text import human_seconds
from hosts_mcp.timerange import DAY_NS, NS

SHOWN_GAPS = 3


@dataclass(frozen=True, slots=True)
class Reading:
    value: float
    at_ns: int
    unit: str


def host_now(host: Host, now_ns: int) -> int:
    """The host's present on its own clock; the clock here while nothing has come of it."""
    present_ns = host.present_ns(now_ns)
    return now_ns if present_ns is None else present_ns


def newest(host: Host, samples: Samples, names: Iterable[str] | None = None) -> Mapping[str, Reading]:
    """The last known value of each derived signal; a signal without one is absent."""
    found = {}
    for name, series in derive(samples, host.facts, names).items():
        for value, at_ns in zip(reversed(series.values), reversed(series.ends_ns), strict=True):
            if value is not None:
                found[name] = Reading(value, at_ns, series.unit)
                break
    return found


class Remembered:
    """The newest readings of many hosts, derived anew only for those from which something came since.

    A cache over the store: a host's newest point, its arrival and its facts say together whether anything changed.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        # Cores and memory are known of some hosts and of others not: the groups for those that know neither.
        self._groups = groups_of(names, BoxFacts())
        self._of: WeakKeyDictionary[Store, dict[int, tuple[object, Mapping[str, Reading]]]] = WeakKeyDictionary()

    def readings(self, store: Store, hosts: Sequence[Host]) -> Mapping[int, Mapping[str, Reading]]:
        """By host id; absent signals are absent."""
        before = self._of.get(store, {})
        found: dict[int, tuple[object, Mapping[str, Reading]]] = {}
        changed = []
        for host in hosts:
            known, state = before.get(host.id), _state(host)
            if known is not None and known[0] == state:
                found[host.id] = known
            else:
                changed.append((host, state))
        samples = store.newest([host.id for host, _ in changed], groups=self._groups) if changed else {}
        for host, state in changed:
            found[host.id] = (state, newest(host, samples.get(host.id, {}), self._names))
        self._of[store] = found
        return {host_id: readings for host_id, (_, readings) in found.items()}


def _state(host: Host) -> object:
    """Its newest point, that point's arrival, and its facts."""
    return host.newest_ns, host.last_arrived_ns, host.cpu_count, host.memory_bytes, host.os_type


@dataclass(frozen=True, slots=True)
class Listening:
    """When somebody held the file and could receive: silence at any other time says nothing about a host."""

    gaps: tuple[tuple[int, int], ...]
    now: bool
    """False: the newest gap has not ended."""

    @classmethod
    def last_day(cls, store: Store, now_ns: int) -> Listening:
        gaps = tuple(store.not_listening(now_ns - DAY_NS, now_ns))
        return cls(gaps, not gaps or gaps[-1][1] < now_ns - NS)

    def notes(self, first_ns: int) -> list[str]:
        """When nobody listened since `first_ns`, the first arrival ever; before that there was nothing to miss."""
        missed = [(start, end) for start, end in self.gaps if end > first_ns]
        notes = []
        if not self.now:
            start_ns, end_ns = self.gaps[-1]
            since = "for more than a day" if end_ns - start_ns >= DAY_NS else f"since {when(start_ns)}"
            notes.append(f"Nobody is listening {since}: start the server (hosts-mcp serve). Status is as of then.")
            missed = missed[:-1]
        if missed:
            spans = ", ".join(
                f"{when(a)} to {when(b)} ({human_seconds(round((b - a) / NS))})" for a, b in missed[-SHOWN_GAPS:]
            )
            more = f" and {len(missed) - SHOWN_GAPS} times before" if len(missed) > SHOWN_GAPS else ""
            notes.append(f"Nobody was listening {spans}{more}: silence in that time says nothing about a host.")
        return notes

    def status(self, host: Host, now_ns: int) -> Status:
        """Live, stale or down; while nobody listens, as it was when somebody last did."""
        if not self.gaps:
            return status(host, now_ns)
        stopped_ns, since_ns = self.gaps[-1]
        if not self.now:
            return status(host, max(stopped_ns, host.last_arrived_ns))
        return status(host, now_ns, listening_since_ns=since_ns, stopped_listening_ns=stopped_ns)
