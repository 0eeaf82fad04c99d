"""The questions hosts-mcp answers, once: every face (MCP, REST, command line) is made from this table.

A row says how a question is called on each face and what it takes; the answer itself is `answers.<tool>.answer`.
Imports nothing heavy: the command line shows its help from here.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hosts_mcp.errors import BadArgument
from hosts_mcp.text import quote

if TYPE_CHECKING:
    from hosts_mcp.answers.base import Answer, Budget
    from hosts_mcp.store.protocol import Store


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument. `default` None: it must be given. Lists of values are written with commas, in text."""

    name: str
    kind: Literal["text", "number"]
    help: str
    default: str | int | None = None
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 0
    by_place: bool = False
    """On the command line it stands by itself, though it may be left out."""

    @property
    def required(self) -> bool:
        return self.default is None

    def read(self, value: Any) -> str | int:
        """`value` as this argument's kind, out of JSON, a URL or a terminal. Raises BadArgument."""
        if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
            value = ",".join(str(item) for item in value)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise BadArgument(f"{self.name} takes {self._expected()}, not {quote(value, 60)}.")
        return self._number(value) if self.kind == "number" else self._text(value)

    def _text(self, value: str | int | float) -> str:
        text = str(value).strip()
        if self.choices and (text or self.default) and text.lower() not in self.choices:
            raise BadArgument(f"{self.name} takes {self._expected()}, not {quote(text, 60)}.", candidates=self.choices)
        if self.required and not text:
            raise BadArgument(f"{self.name} is empty. It takes {self._expected()}.")
        return text.lower() if self.choices else text

    def _number(self, value: str | int | float) -> int:
        try:
            number = int(value) if float(value) == int(float(value)) else None
        except (ValueError, OverflowError):
            number = None
        if number is None or number < self.least or (self.most and number > self.most):
            raise BadArgument(f"{self.name} takes {self._expected()}, not {quote(value, 60)}.")
        return number

    def _expected(self) -> str:
        if self.choices:
            return "one of " + ", ".join(choice for choice in self.choices if choice)
        if self.kind == "number":
            return f"a whole number from {self.least}" + (f" to {self.most}" if self.most else "")
        return f"text ({self.help})"


@dataclass(frozen=True, slots=True)
class Question:
    """One question on all its faces."""

    tool: str
    """Name of the MCP tool and of the module under `answers`."""
    title: str
    command: str
    path: str
    """REST path below /api/v1; {name} is the argument of that name."""
    about: str
    """What it answers and when to ask it instead of its neighbour; shown to models and in --help."""
    arguments: tuple[Argument, ...]
    entry: bool = False
    """Usually asked first: clients that load tools lazily are asked to have this one at hand."""
    search_hint: str = ""
    also: str = ""
    """A second REST path of the same question, for when it is asked without what stands in the first."""
    one_size: bool = False
    """A judgement, not a listing: every face gives it with the same evidence, however much room it has."""

    def accept(self, given: Mapping[str, Any]) -> tuple[dict[str, str | int], list[str]]:
        """Arguments as `answer` takes them, and notes on what was ignored.

        A name that is nearly right is refused, since the answer would be to another question; a name that is not
        close to anything is ignored with a note, since clients add keys of their own. Raises BadArgument.
        """
        known = {argument.name: argument for argument in self.arguments}
        arguments: dict[str, str | int] = {}
        ignored: list[str] = []
        for name, value in given.items():
            if name in INJECTED or value is None:
                continue
            if name in known:
                arguments[name] = known[name].read(value)
            elif near := _near(name, known):
                raise BadArgument(
                    f"{self.tool} has no argument {quote(name, 40)}. Did you mean {near}? It takes: {self._takes()}.",
                    candidates=(near,),
                )
            else:
                ignored.append(name)
        if missing := [a.name for a in self.arguments if a.required and a.name not in arguments]:
            raise BadArgument(f"{self.tool} needs {' and '.join(missing)}. It takes: {self._takes()}.")
        return arguments, [self._note(ignored)] if ignored else []

    def ask(
        self, store: Store, arguments: Mapping[str, str | int], *, now_ns: int, budget: Budget, **about_server: Any
    ) -> Answer:
        """Compute the answer; blocks. Raises what `answers` raises (`hosts_mcp.errors`).

        `about_server`: what an answer may say about the server itself (`target`, `link_base`), where it takes that.
        """
        from hosts_mcp.answers.base import MCP_BUDGET

        answer = self._answer()
        taken = inspect.signature(answer).parameters
        more = {name: value for name, value in about_server.items() if name in taken}
        return answer(store, **arguments, now_ns=now_ns, budget=MCP_BUDGET if self.one_size else budget, **more)

    def model(self) -> type[Answer]:
        """The pydantic model of the answer."""
        model: type[Answer] = inspect.signature(self._answer(), eval_str=True).return_annotation
        return model

    def input_schema(self) -> dict[str, Any]:
        """Flat JSON Schema of the arguments: a type everywhere, no $ref, no anyOf, nothing nullable."""
        schema: dict[str, Any] = {"type": "object", "properties": {a.name: argument_schema(a) for a in self.arguments}}
        if required := [a.name for a in self.arguments if a.required]:
            schema["required"] = required
        return schema

    def _note(self, ignored: list[str]) -> str:
        return f"Ignored {', '.join(quote(name, 40) for name in ignored[:8])}: {self.tool} takes {self._takes()}."

    def _takes(self) -> str:
        return ", ".join(argument.name for argument in self.arguments) or "no arguments"

    def _answer(self) -> Callable[..., Answer]:
        answer: Callable[..., Answer] = importlib.import_module(f"hosts_mcp.answers.{self.tool}").answer
        return answer


INJECTED = frozenset({"wait_for_previous"})
"""Keys that a client (Gemini CLI) adds to every call and sends along."""

ALIASES = {
    "hostname": "host", "host_name": "host", "name": "host", "server": "host", "node": "host", "id": "trace_id",
    "traceid": "trace_id", "trace": "trace_id", "minutes": "range", "since": "range", "window": "range",
    "time_range": "range", "timerange": "range", "period": "range", "duration": "min_duration", "time": "at",
    "timestamp": "at", "when": "at", "metric": "metrics", "signal": "metrics", "signals": "metrics", "max": "limit",
    "count": "limit", "max_points": "points", "search": "query", "filter": "query", "sort_by": "sort",
    "order_by": "order", "span": "operation", "span_name": "operation", "statement": "sql", "page": "cursor",
}  # fmt: skip
"""What models write instead, -> the argument meant (where the question has it)."""


def _near(name: str, known: Mapping[str, Argument]) -> str | None:
    alias = ALIASES.get(name.lower().replace("-", "_"))
    if alias in known:
        return alias
    return next(iter(difflib.get_close_matches(name.lower(), known, 1, 0.75)), None)


def argument_schema(argument: Argument) -> dict[str, Any]:
    """JSON Schema of one argument; range and default stand in the words too, since some clients drop the keywords."""
    schema: dict[str, Any] = {"type": "string" if argument.kind == "text" else "integer", "description": argument.help}
    if argument.choices:
        schema["enum"] = list(argument.choices)
    if argument.kind == "number":
        schema |= {"minimum": argument.least} | ({"maximum": argument.most} if argument.most else {})
    if not argument.required:
        schema["default"] = argument.default
    return schema


_HOST = Argument("host", "text", "host key or name from list_hosts; also an alias, a host.id or a unique prefix")
_TRACE = Argument("trace_id", "text", "32 hex digits, or a unique prefix of at least 8")
_RANGE = "ending now (15m, 6h, 7d), or START..END with ISO times, epoch or now-2h; UTC"
_DETAIL = Argument("detail", "text", "concise (default) or full", "concise", ("concise", "full"))

QUESTIONS: tuple[Question, ...] = (
    Question(
        tool="list_hosts",
        title="List hosts",
        command="hosts",
        path="/hosts",
        about=(
            "Every box that reports, with status (live, stale, down, measured against its own interval), OS, CPU, "
            "memory, load, findings and last seen, and totals of the fleet. Ask it first when no trace id is given, "
            "and for names to use elsewhere. With nothing stored yet it says what has arrived and which collector "
            "configuration is missing. A dash or an absent field means not measured, never zero."
        ),
        arguments=(
            Argument("query", "text", "part of a name, alias, id, OS or kubernetes node; empty (default): all", ""),
            Argument("status", "text", "any (default), live, stale or down", "any", ("any", "live", "stale", "down")),
            Argument(
                "sort",
                "text",
                "name, status, findings, cpu, memory, load, processes or last_seen, - before it reverses; empty "
                "(default): worst first",
                "",
            ),
            Argument("limit", "number", "most hosts in this answer; 0 (default): as many as fit", 0, (), 0, 500),
            Argument("cursor", "text", "next_cursor of the previous answer; empty (default): from the top", ""),
        ),
        entry=True,
        search_hint="hosts servers machines boxes fleet inventory status cpu memory load",
    ),
    Question(
        tool="host_status",
        title="Status of one host",
        command="status",
        path="/hosts/{host}",
        about=(
            "One box now or at a past moment: identity and aliases, uptime and reboots, all signals, findings with "
            "threshold and since when, top processes, filesystems, services seen there, and what is not collected "
            "with the lines that would add it. For a curve over time use host_metrics; for one slow or failed "
            "request use was_it_the_box."
        ),
        arguments=(
            _HOST,
            Argument("at", "text", "moment: now (default), now-2h, 2026-03-01T02:00Z or epoch; UTC", "now"),
        ),
        search_hint="host status health findings processes filesystems uptime",
    ),
    Question(
        tool="host_metrics",
        title="Metrics of one host",
        command="metrics",
        path="/hosts/{host}/metrics",
        about=(
            "How a box did over a range: last, min, max, avg, p95 and a sparkline for CPU by state, memory, load, "
            "disk, network, filesystem, paging, connections and processes. Gaps are shown as gaps. For one moment "
            "use host_status."
        ),
        arguments=(
            _HOST,
            Argument(
                "metrics",
                "text",
                "comma-separated: cpu, memory, load, disk, network, filesystem, paging, connections, processes, a "
                "signal or any stored metric's own name; empty (default): the usual ones",
                "",
            ),
            Argument("range", "text", f"{_RANGE}; default 1h", "1h"),
            Argument("points", "number", "points per series with detail=full, 2-200; default 12", 12, (), 2, 200),
            Argument("detail", "text", "concise (default): figures; full: series too", "concise", ("concise", "full")),
            Argument(
                "by",
                "text",
                "one series per device, mount, interface, cpu or process; empty (default): the whole box",
                "",
                ("", "device", "mount", "interface", "cpu", "process"),
            ),
        ),
        search_hint="cpu memory load disk network filesystem series chart over time",
    ),
    Question(
        tool="was_it_the_box",
        title="Was it the box?",
        command="was-it-the-box",
        path="/traces/{trace_id}/was-it-the-box",
        about=(
            "Did the machine make this trace slow, fail or die? Verdict yes, partly, no or cannot_tell with "
            "confidence; origin (a neighbour on the box, the workload itself, the hypervisor), resource, culprit, "
            "evidence for and against, what was cleared, and what data is missing. Searched over all retention. Ask "
            "it first for any slow, failed, killed or unfinished trace; ids come from find_traces. Where no trace was "
            "left (a killed process may leave none), give service or host with at instead: it judges the silence."
        ),
        arguments=(
            Argument("trace_id", "text", f"{_TRACE.help}; or empty (default)", "", by_place=True),
            Argument("service", "text", "instead of trace_id: service.name that fell silent; empty (default)", ""),
            Argument("host", "text", "instead of trace_id: host whose services fell silent; empty (default)", ""),
            Argument("at", "text", "with service or host, about when: now (default), now-2h, ISO or epoch; UTC", "now"),
            _DETAIL,
        ),
        also="/was-it-the-box",
        entry=True,
        one_size=True,
        search_hint="slow failed killed trace host cause cpu memory oom disk network steal noisy neighbour",
    ),
    Question(
        tool="blame_report",
        title="Blame report",
        command="blame-report",
        path="/blame-report",
        about=(
            "Of the slow and failed traces of a service, an operation, a host or all: how many were the box, the "
            "code, unknown; by host, resource, origin and culprit. Hosts are ranked by the seconds of pain they "
            "caused, never by CPU. Use it for many traces or to find which host to fix first; for one trace use "
            "was_it_the_box. Judges a sample of at most limit traces and says so."
        ),
        arguments=(
            Argument("service", "text", "traces with a span of this service.name; empty (default): any", ""),
            Argument("operation", "text", "traces with a span of this name; empty (default): any", ""),
            Argument("host", "text", "traces with a span on this host; empty (default): any", ""),
            Argument("range", "text", f"{_RANGE}; default 24h", "24h"),
            Argument("limit", "number", "most traces to judge, 1-200; default 40", 40, (), 1, 200),
        ),
        one_size=True,
        search_hint="which host hurts most, how many slow failed traces were the box, noisy neighbour ranking",
    ),
    Question(
        tool="find_traces",
        title="Find traces",
        command="traces",
        path="/traces",
        about=(
            "Traces by host, service, operation, outcome, duration and time, with id, root, duration, errors and "
            "hosts. Use it to get a trace id for was_it_the_box or show_trace. unfinished: the root never ended, "
            "such as after a kill."
        ),
        arguments=(
            Argument("host", "text", "only traces with a span on this host; empty (default): any", ""),
            Argument("service", "text", "service.name; empty (default): any", ""),
            Argument("operation", "text", "name of a span in the trace; empty (default): any", ""),
            Argument(
                "status",
                "text",
                "any (default), ok, error or unfinished",
                "any",
                ("any", "ok", "error", "unfinished"),
            ),
            Argument("min_duration", "text", "at least this long: 500ms, 2s, 1m; empty (default): any", ""),
            Argument("range", "text", f"{_RANGE}; default 24h", "24h"),
            Argument(
                "order",
                "text",
                "newest (default), slowest or errors_first",
                "newest",
                ("newest", "slowest", "errors_first"),
            ),
            Argument("limit", "number", "most traces in this answer, 1-500; default 20", 20, (), 1, 500),
        ),
        search_hint="find search traces requests errors slow service operation",
    ),
    Question(
        tool="show_trace",
        title="Show a trace",
        command="trace",
        path="/traces/{trace_id}",
        about=(
            "A trace as a compact tree: each span's service, host, duration, self time and error. The root and the "
            "worst spans are always kept; unfinished and orphaned spans are marked. For the cause use was_it_the_box."
        ),
        arguments=(_TRACE, _DETAIL),
        search_hint="trace spans tree waterfall",
    ),
    Question(
        tool="query",
        title="SQL query",
        command="query",
        path="/query",
        about=(
            "One read-only SQLite SELECT over the views hosts, samples, signals, spans, traces, runs, processes, "
            "findings and logs; at most 5 s, 500 rows, 24 KB. Empty sql returns the views and columns. Only for what "
            "no other tool answers."
        ),
        arguments=(Argument("sql", "text", "one SELECT; empty (default): the schema", "", by_place=True),),
        search_hint="sql select custom aggregate",
    ),
)

BY_TOOL: Mapping[str, Question] = {question.tool: question for question in QUESTIONS}
