"""One read-only SQL statement over the views, for what no other question covers; the schema when none is given."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hosts_mcp.answers.base import MCP_BUDGET, Answer, Budget, call, fit, plural
from hosts_mcp.answers.table import table
from hosts_mcp.store.protocol import SqlResult, Store
from hosts_mcp.text import clean

SECONDS = 5.0
LONGEST_CELL = 4096


class QueryResult(Answer):
    """Answer of query: columns and rows, or the schema."""

    columns: list[str] = Field(default_factory=list)
    rows: list[list[str | int | float | None]] = Field(default_factory=list)
    truncated: bool = False
    sql_schema: str | None = Field(default=None, description="views and columns; only when no statement was given")
    next: str | None = None

    def to_text(self) -> str:
        lines = [self.summary]
        if self.sql_schema:
            lines.append(self.sql_schema)
        lines += table(self.columns, [[_cell_text(value) for value in row] for row in self.rows])
        lines += self.note_lines()
        if self.next:
            lines.append(f"Next: {self.next}")
        return "\n".join(lines)


def answer(store: Store, sql: str = "", *, now_ns: int, budget: Budget = MCP_BUDGET) -> QueryResult:  # noqa: ARG001
    """Run one statement that the engine holds to reading: 5 s, the budget's rows and bytes. Raises BadQuery."""
    if not sql.strip():
        return QueryResult(
            summary="The views and their columns; times are UTC, units stand in the column names.",
            sql_schema=store.sql_schema(),
            next=call("query", sql="SELECT host, os_type, last_arrived_time FROM hosts LIMIT 20"),
        )
    room = budget.times(2)
    found = store.sql(sql, max_rows=budget.rows, max_bytes=4 * room.text_bytes, seconds=SECONDS)
    longest = min(LONGEST_CELL, room.text_bytes // 30)
    rows = [[_cell(value, longest) for value in row] for row in found.rows]
    columns = [clean(c, 64) for c in found.columns]

    def build(count: int) -> QueryResult:
        cut = count < len(rows) or found.truncated
        return QueryResult(
            summary=_summary(found, count, cut),
            columns=columns,
            rows=rows[:count],
            truncated=cut,
            notes=[_cut_note(found, count, len(rows))] if cut else None,
        )

    return fit(build, len(rows), room)


def _summary(found: SqlResult, count: int, cut: bool) -> str:
    of = " (cut)" if cut else ""
    return f"{plural(count, 'row')}{of}, {plural(len(found.columns), 'column')}." if count else f"No rows{of}."


def _cut_note(found: SqlResult, count: int, read: int) -> str:
    why = "length" if count < read else clean(found.reason or "length", 80)
    return (
        f"… more rows than shown, cut by {why}: narrow with WHERE, aggregate, or add ORDER BY … LIMIT … OFFSET {count}."
    )


def _cell(value: Any, longest: int) -> str | int | float | None:
    """A value as JSON can carry it: text made safe and cut, numbers as they are."""
    return value if value is None or isinstance(value, int | float) else clean(value, longest)


def _cell_text(value: str | float | None) -> str | None:
    return None if value is None else str(value)
