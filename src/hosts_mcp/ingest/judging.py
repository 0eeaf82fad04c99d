"""Judging every host's findings, in whole only where they could have changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hosts_mcp.hosts import calm, findings
from hosts_mcp.hosts.calm import WINDOW_NS, Calm, Readings
from hosts_mcp.hosts.status import status
from hosts_mcp.signals.devices import DEVICE_METRICS, derive_devices
from hosts_mcp.signals.meaning import NAMES
from hosts_mcp.signals.samples import derive
from hosts_mcp.store.protocol import FindingRow, Host, Store, StoreBusy
from hosts_mcp.timerange import NS

log = logging.getLogger(__name__)

MOST_SCRAPES = 180
LOOK_NS = 55 * NS
"""A calm host is looked at again when it has sent so much more. Whatever nears a limit ends the calm, and what must
last for minutes to be a finding is found as if it had been looked at all the time; only what is one at once (a full
disk, a restart) may be found so much later."""
_WITHOUT_CPUS = tuple(name for name in DEVICE_METRICS if NAMES[name].measure != "cpu.time")


@dataclass(frozen=True, slots=True)
class _Known:
    host: Host
    """Without what moves from one report to the next."""
    calm: Calm
    last_scrape: int


class Judge:
    """Remembers of each host that is calm what tells whether it still is; a restart judges all of them once."""

    def __init__(self, reader: Store, look_ns: int = LOOK_NS) -> None:
        self._reader = reader
        self._look_ns = look_ns
        self._known: dict[int, _Known] = {}

    def findings(self, now_ns: int) -> Iterator[tuple[Host, Sequence[FindingRow]]]:
        """Every host that is judged, one by one, with the findings to write; none when nothing changed."""
        hosts = [host for host in self._reader.hosts() if host.kind != "container" and host.newest_ns is not None]
        self._known = {host.id: self._known[host.id] for host in hosts if host.id in self._known}
        for host in hosts:
            try:
                rows = self._news(host, now_ns)
            except StoreBusy:
                raise
            except Exception:
                # What cannot be read of one host must not keep the others from being judged.
                log.exception("the findings of %s could not be judged", host.key)
                continue
            yield host, rows

    def _news(self, host: Host, now_ns: int) -> Sequence[FindingRow]:
        known = self._known.pop(host.id, None)
        still = known and status(host, now_ns).word == "live" and self._still_calm(host, known)
        if not still:
            return self._judged(host, now_ns)
        self._known[host.id] = still
        return ()

    def _still_calm(self, host: Host, known: _Known) -> _Known | None:
        newest_ns, looked_ns = host.newest_ns or 0, known.calm.looked_ns
        start_ns = newest_ns + 1 - WINDOW_NS
        if known.host == _still(host) and 0 < newest_ns - looked_ns < self._look_ns:
            return known
        if known.host != _still(host) or self._reader.last_scrape(host.id, start_ns, looked_ns) > known.last_scrape:
            return None
        if newest_ns == looked_ns:
            return known
        last = self._reader.last_scrape(host.id, start_ns, newest_ns)
        found = self._read(host, known.calm.from_ns, newest_ns + 1, None)
        calm_ = calm.look(known.calm, host, found, start_ns)
        return None if calm_ is None else _Known(known.host, calm_, last)

    def _judged(self, host: Host, now_ns: int) -> Sequence[FindingRow]:
        end_ns = (host.newest_ns or 0) + 1
        start_ns = end_ns - WINDOW_NS
        last = self._reader.last_scrape(host.id, start_ns, end_ns - 1)
        found = self._read(host, start_ns, end_ns, MOST_SCRAPES)
        before = self._reader.findings(host.id, open_only=False, start_ns=start_ns)
        rows = findings.evaluate(host, found.signals, found.devices, before, now_ns)
        if set(rows) == set(before) and calm.settled(rows):
            calm_ = calm.look(None, host, found, start_ns)
            if calm_ and any(len(series.times_ns) >= MOST_SCRAPES for series in found.raw):
                # Which scrapes are left out changes with every reading.
                calm_ = calm.look(None, host, self._read(host, start_ns, end_ns, None), start_ns)
            if calm_:
                self._known[host.id] = _Known(_still(host), calm_, last)
        return [row for row in rows if row not in before]

    def _read(self, host: Host, start_ns: int, end_ns: int, limit_scrapes: int | None) -> Readings:
        samples = self._reader.samples(host.id, start_ns, end_ns)
        signals = derive(samples, host.facts)
        # No finding is of a single CPU; they only tell that CPUs are measured where the box does not say so.
        metrics = _WITHOUT_CPUS if "cpu_busy_ratio" in signals else DEVICE_METRICS
        raw = self._reader.points(host.id, metrics, start_ns, end_ns, limit_scrapes=limit_scrapes)
        return Readings(samples, raw, signals, derive_devices(raw, host.facts))


def _still(host: Host) -> Host:
    return replace(host, newest_ns=None, last_arrived_ns=0, usual_lag_ns=None)
