from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hosts_mcp.store.sqlite import SqliteReader, SqliteWriter, open_reader, open_writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hosts.db"


@pytest.fixture
def writer(path: Path) -> Iterator[SqliteWriter]:
    opened = open_writer(path, synchronous="normal")
    yield opened
    opened.close()


@pytest.fixture
def reader(writer: SqliteWriter, path: Path) -> Iterator[SqliteReader]:
    opened = open_reader(path)
    yield opened
    opened.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[], tuple[SqliteWriter, SqliteReader]]]:
    """Makes any number of empty stores."""
    opened: list[SqliteWriter | SqliteReader] = []

    def make() -> tuple[SqliteWriter, SqliteReader]:
        place = tmp_path / f"fresh-{len(opened)}.db"
        pair = (open_writer(place, synchronous="normal"), open_reader(place))
        opened.extend(pair)
        return pair

    yield make
    for one in reversed(opened):
        one.close()
