"""What to say while no host has reported: what has arrived, what is missing, and the configuration that sends it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hosts_mcp.answers.base import plural, when
from hosts_mcp.answers.collector_config import LOCAL, Target, add, bare, whole
from hosts_mcp.store.protocol import Arrived, Store
from hosts_mcp.text import clean, quote

SHOWN = 6


class NothingYet(BaseModel):
    """The empty state of the inventory."""

    model_config = ConfigDict(extra="forbid")

    summary: str
    arrived: list[str] = Field(description="what has arrived so far")
    missing: str
    next_step: str
    config: str = Field(description="host.yaml of a new OpenTelemetry Collector (contrib distribution)")
    config_add: str = Field(description="second --config file for a collector that already runs")

    def lines(self) -> list[str]:
        """Everything but the summary, as text."""
        arrived = [f"- {line}" for line in self.arrived] or ["- nothing"]
        return [
            "Arrived so far:", *arrived, self.missing, self.next_step,
            "", "# host.yaml", self.config.rstrip(), "", "# hosts-mcp.yaml", self.config_add.rstrip(), "",
        ]  # fmt: skip


def nothing_yet(store: Store, target: Target = LOCAL) -> NothingYet:
    arrived = sorted(store.arrived(), key=lambda a: -a.last_arrived_ns)
    signals = {a.signal for a in arrived}
    if not arrived:
        summary = "No host yet: nothing has arrived."
        missing = "Missing: everything. No metrics, traces or logs were received."
    else:
        held = {"metrics": "application metrics", "traces": "spans", "logs": "logs"}
        got = " and ".join(words for signal, words in held.items() if signal in signals)
        services = {a.service for a in arrived if a.service}
        of = f" from {plural(len(services), 'service')}" if services else ""
        summary = f"No host yet: {got}{of} arrived, but no host metrics."
        missing = "Missing: host metrics (the collector's hostmetrics receiver)."
    step = (
        "Next step: start an OpenTelemetry Collector (contrib) on each machine with host.yaml below; or give one that "
        "runs a second file, --config=hosts-mcp.yaml. Hosts appear with its first scrape."
    )
    return NothingYet(
        summary=summary,
        arrived=[_line(a) for a in arrived[:SHOWN]],
        missing=missing,
        next_step=step,
        config=bare(whole(target)),
        config_add=add(target),
    )


def _line(arrived: Arrived) -> str:
    service = f" from {quote(arrived.service, 48)}" if arrived.service else ""
    kept = "" if arrived.kept else ", counted but not kept"
    note = f" ({clean(arrived.note, 80)})" if arrived.note else ""
    last = when(arrived.last_arrived_ns)
    return f"{arrived.count:,} {arrived.signal}: {quote(arrived.what, 48)}{service}{kept}, last {last}{note}"
