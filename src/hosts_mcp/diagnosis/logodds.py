"""Killed and failed traces: additive evidence in log-odds, because there is no duration to take apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hosts_mcp.diagnosis.model import Experiment, Pressure, Quality, Symptom
from hosts_mcp.diagnosis.stats import logistic
from hosts_mcp.diagnosis.table import Table

EXPERIMENTS = {
    ("dose", "bad"): "dose_bad",
    ("dose", "fine"): "dose_fine",
    ("dose", "calm_bad"): "calm_bad",
    ("dose", "trend"): "dose_trend",
    ("peers_here", "bad"): "peers_bad",
    ("peers_here", "fine"): "peers_fine",
    ("elsewhere", "bad"): "elsewhere_bad",
    ("elsewhere", "fine"): "elsewhere_fine",
}


def weigh(
    symptom: Symptom,
    pressures: Mapping[str, Pressure],
    link: float,
    quality: Quality,
    experiments: Sequence[Experiment],
    marks: Mapping[str, bool],
    t: Table,
) -> tuple[tuple[str, float], ...]:
    """Every piece of evidence with its weight; their sum is the log-odds that the box did it."""
    w = t.weights
    kind = symptom.kind
    out: list[tuple[str, float]] = [("prior", t.prior_incomplete if symptom.incomplete else t.priors[kind])]
    out.append(("link", t.link_weight * link))
    if link < t.link_none and quality.value > t.quality_good and not quality.undetermined:
        out.append(("no_pressure", w["no_pressure"]))
    if symptom.marker is not None and kind == "killed":
        out.append(("marker", w["marker"]))
    if kind == "err_space":
        value = pressures["filesystem"].value
        if value is not None:
            out.append(("filesystem", w["space_full"] if value > 0.5 else w["space_fine"]))
    if kind == "err_fd":
        out.append(("fd", w["fd"]))
    if kind == "err_mem" and all((pressures[r].value or 0.0) < 0.3 for r in ("memory", "c_mem")):
        out.append(("memory_fine", w["memory_fine"]))
    out += [(mark, w[mark]) for mark in ("released", "silent_metrics") if marks.get(mark)]
    if quality.blind:
        out.append(("blind", w["blind"]))
    if symptom.remote is not None and kind in ("err_timeout", "err_conn"):
        network = pressures["network"].value or 0.0
        out.append(("remote", w["remote"] * (1.0 - network)))
        if network > 0.5:
            out.append(("remote_network", w["remote_network"]))
    for e in experiments:
        name = EXPERIMENTS.get((e.name, e.outcome))
        if name is not None and not (name == "peers_bad" and _peers_prove_nothing(symptom, pressures, link, t)):
            out.append((name, w[name]))
    return tuple(out)


def _peers_prove_nothing(symptom: Symptom, pressures: Mapping[str, Pressure], link: float, t: Table) -> bool:
    """Others are slow by something that cannot have done this: killed none, or kept nobody waiting for a far peer."""
    if symptom.kind == "killed":
        return link < t.link_none
    local = max((pressures[r].value or 0.0) for r in ("cpu", "steal", "memory", "disk"))
    network = pressures["network"].value or 0.0
    return symptom.remote is not None and symptom.kind in ("err_timeout", "err_conn") and local >= t.hot > network


def probability(weights: Sequence[tuple[str, float]]) -> float:
    return logistic(sum(value for _, value in weights))
