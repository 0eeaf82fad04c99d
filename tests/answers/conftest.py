"""The filled store that tests of answers read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .filling import Filling


@pytest.fixture
def filling(tmp_path: Path) -> Iterator[Filling]:
    made = Filling(tmp_path / "hosts.db")
    yield made
    made.close()
