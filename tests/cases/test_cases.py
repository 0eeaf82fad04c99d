"""Every exported case here replays to the verdict it states. Add one: `hosts-mcp export-case TRACE_ID -o FILE` here."""

from __future__ import annotations

from pathlib import Path

import pytest

from hosts_mcp.serve.replaying import replay

CASES = sorted(Path(__file__).parent.glob("*.jsonl*"))


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.name.partition(".")[0])
def test_the_case_gives_the_verdict_it_states(path: Path) -> None:
    assert replay(path).differences() == []


def test_a_conviction_and_an_exoneration_are_among_them() -> None:
    assert {"story", "lock-beside-page-cache"} <= {p.name.partition(".")[0] for p in CASES}
