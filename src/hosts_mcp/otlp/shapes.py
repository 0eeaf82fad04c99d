"""Number points scope by scope: the fast decoder. What it reads it reads as `otlp.points` does, the rest it hands on.

A sender repeats itself: of a scope's bytes only times and values change from scrape to scrape. So a scope is looked
at once point by point and its shape is remembered: where the numbers stand, and all bytes between them (names, units,
attributes, framing). The next scope whose other bytes are the same, of whatever host, is read by one compiled Struct.
Both field orders, with and without a start time, are shapes like any other. A metric whose points come in a new order
each time (disks, TCP states) is loose: its points are found one by one, by the bytes of their attributes.

A scope that holds anything else (flags, exemplars, histograms, refused points) is walked in the ordinary way, and so
is a whole request that protobuf refuses; `MetricsBatch.walked` says how many points were, and why.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint, ScopeMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage

from hosts_mcp.otlp.batch import Kind, MetricsBatch, PointGroup, Resource, Slot
from hosts_mcp.otlp.framing import ORDERS, REQUEST, SCOPE, TAGS, Order, fields_of
from hosts_mcp.otlp.points import (
    EARLIEST_NS,
    LATEST_NS,
    SUM_KINDS,
    greatest,
    is_repetitive,
    known_start,
    lowest,
    walk_scope,
)
from hosts_mcp.otlp.room import Room
from hosts_mcp.otlp.values import CACHED, Interned, Series

_new = tuple.__new__
"""What the constructor of a named tuple calls; without the call of its own, which is felt at every group of points."""
_EDGE = 24
"""Bytes at the named end of a scope that tell families apart."""
_SHAPES_PER_FAMILY = 4
_DIVISIONS_PER_FORM = 4
_PATIENCE = 32
"""A family learns so often beyond twice what it had use of: what never comes the same way again is not worth it."""


class Odd(Exception):
    """Something that the fast decoder leaves to the ordinary walk; its text says what."""


_TIME, _TIMES = struct.Struct("<Q"), struct.Struct("<QBQ")


def _time_and_start(clock: bytes, clock_first: bool) -> tuple[int, int]:
    """Nanoseconds. Raises Odd."""
    if len(clock) == _TIME.size:
        time_ns, start_ns = _TIME.unpack(clock)[0], 0
    else:
        first, tag, second = _TIMES.unpack(clock)
        if tag != (0x19 if clock_first else 0x11):
            raise Odd("a point with its fields in no known order")
        time_ns, start_ns = (second, first) if clock_first else (first, second)
    if not EARLIEST_NS <= time_ns < LATEST_NS:
        raise Odd("a time that is refused")
    return time_ns, known_start(start_ns)


def _slots(series: Series, wires: Sequence[bytes]) -> list[Slot]:
    """The series with these bytes behind the numbers of a point. Raises Odd, DecodeError."""
    for wire in wires:
        if wire not in series:
            point = NumberDataPoint.FromString(wire)
            # A later field overrules an earlier one, even with a zero, which only the length betrays.
            if any(field.name != "attributes" for field, _ in point.ListFields()) or point.ByteSize() != len(wire):
                raise Odd("a point with more than time, start, value and attributes")
    return [series[wire] for wire in wires]


class _Seen:
    """A metric that was looked at point by point: its series, and the bytes of their attributes."""

    def __init__(self, slots: Sequence[Slot], attributes: Sequence[bytes], orders: Sequence[Order], least: float):
        self.slots, self.orders, self.lowest = slots, orders, least
        self.places = {wire: place for place, wire in enumerate(attributes)}
        self.may_be_loose = len(set(orders)) == 1 and len(self.places) == len(slots) > 1
        if self.may_be_loose:
            order, lengths = orders[0], {orders[0].end + len(wire) for wire in attributes}
            self.read, self.tag = order.framed.unpack_from, order.tags[1]
            self.sizes = {bytes((0x0A, n, order.tags[0])): 2 + n for n in lengths if n < 128}
            """How a point in its list begins -> its size there."""


class _Part(NamedTuple):
    """The series of a form that share a time, the same tuple each time, and what picks their values."""

    slots: tuple[Slot, ...]
    pick: Callable[[Sequence[float]], tuple[float, ...]]


def _picks(places: Sequence[int]) -> Callable[[Sequence[float]], tuple[float, ...]]:
    if len(places) == 1:
        return itemgetter(slice(places[0], places[0] + 1))
    return itemgetter(*places)


class _Form:
    """The series of one scope, as one sender lists them."""

    def __init__(self, scope: InstrumentationScope, metrics: Sequence[_Seen]) -> None:
        self.name, self.version = scope.name, scope.version
        self.metrics = metrics
        self.slots = tuple(slot for metric in metrics for slot in metric.slots)
        self._lowest = tuple(metric.lowest for metric in metrics for _ in metric.slots)
        self._is_repetitive = is_repetitive(self.slots)
        self._divisions: dict[tuple[int, ...], list[_Part]] = {}
        directions = {order.clock_first for metric in metrics for order in metric.orders}
        if len(directions) > 1:
            raise Odd("points with their fields in several orders")
        self.clock_first = directions == {True}
        self._has_integers = any("q" in order.numbers for metric in metrics for order in metric.orders)

    def groups(self, resource: Resource, clocks: Sequence[bytes], values: Sequence[float]) -> list[PointGroup]:
        """One per time and start of these readings, each series once. Raises Odd."""
        values = tuple(map(float, values)) if self._has_integers else tuple(values)
        if not min(values) >= 0 and any(v < least for v, least in zip(values, self._lowest, strict=True)):
            raise Odd("a counter below zero")
        clock, clock_first = clocks[0], self.clock_first
        if clocks.count(clock) == len(clocks) and not self._is_repetitive:
            time_ns, start_ns = _time_and_start(clock, clock_first)
            return [_new(PointGroup, (resource, self.name, self.version, time_ns, start_ns, self.slots, values))]
        distinct = list(dict.fromkeys(clocks))
        times = [_time_and_start(clock, clock_first) for clock in distinct]
        if len(set(times)) < len(times):
            raise Odd("one time in two spellings")
        groups = []
        for time, (slots, pick) in zip(times, self._division(distinct, clocks), strict=True):
            own = pick(values)
            if self._is_repetitive:
                slots, own = greatest(slots, own)
            groups.append(PointGroup(resource, self.name, self.version, *time, slots, own))
        return groups

    def _division(self, distinct: Sequence[bytes], clocks: Sequence[bytes]) -> list[_Part]:
        """The parts that these clocks cut the scope in, one for each that is distinct."""
        number = {clock: n for n, clock in enumerate(distinct)}
        pattern = tuple(map(number.__getitem__, clocks))
        found = self._divisions.get(pattern)
        if found is None:
            if len(self._divisions) >= _DIVISIONS_PER_FORM:
                self._divisions.clear()
            places: list[list[int]] = [[] for _ in distinct]
            for at, n in enumerate(pattern):
                places[n].append(at)
            found = self._divisions[pattern] = [_Part(tuple(self.slots[i] for i in at), _picks(at)) for at in places]
        return found


class _Piece(NamedTuple):
    """The points of a loose metric: which metric, where its bytes stand, and the place of its points among all."""

    metric: int
    wire: slice
    at: int


class _Shape:
    """Scopes of one framing. Unpacked, a scope is bytes, number, tag, number, bytes, ...: what stands at even places
    is the same in every scrape and names the form. A loose metric is skipped and stands there as one empty point."""

    def __init__(self, layout: str, pieces: Sequence[_Piece], clock_first: bool) -> None:
        self.unpack = struct.Struct(layout).unpack
        self.clocks, self.values = (slice(1, None, 4), slice(3, None, 4))[:: 1 if clock_first else -1]
        self.pieces = pieces
        self.forms: dict[tuple[Any, ...], _Form] = {}

    def read(self, wire: bytes, resource: Resource) -> list[PointGroup] | None:
        """The groups of a scope whose form is known. Raises Odd."""
        fields = self.unpack(wire)
        form = self.forms.get(fields[::2])
        if form is None:
            return None
        clocks: Any = fields[self.clocks]
        values: Any = fields[self.values]
        if self.pieces:
            clocks, values = list(clocks), list(values)
            for piece in reversed(self.pieces):
                found = _loose(wire[piece.wire], form.metrics[piece.metric])
                if found is None:
                    return None
                clocks[piece.at : piece.at + 1], values[piece.at : piece.at + 1] = found
        return form.groups(resource, clocks, values)


def _loose(wire: bytes, known: _Seen) -> tuple[list[bytes], list[float]] | None:
    """Clocks and values of the points in `wire`, in their known order; None unless they are the same series."""
    places, sizes, read, end, tag = known.places, known.sizes, known.read, known.orders[0].end + 2, known.tag
    firsts: list[Any] = [None] * len(places)
    seconds: list[Any] = [None] * len(places)
    at = 0
    try:
        for _ in places:
            head, first, between, second = read(wire, at)
            behind = at + sizes[head]
            place = places[wire[at + end : behind]]
            if between != tag:
                return None
            firsts[place], seconds[place] = first, second
            at = behind
    except (struct.error, KeyError):
        return None
    if at != len(wire) or None in firsts:
        return None
    return (firsts, seconds) if known.orders[0].clock_first else (seconds, firsts)


class _Family:
    """The shapes of scopes of one length and edge, and how often they were of use."""

    def __init__(self) -> None:
        self._shapes: dict[str, _Shape] = {}
        self._found = self._learned = 0
        self._loose: set[int] = set()
        self._listed: dict[tuple[int, frozenset[Slot]], Sequence[Slot]] = {}

    def read(self, wire: bytes, resource: Resource) -> list[PointGroup] | None:
        for shape in self._shapes.values():
            groups = shape.read(wire, resource)
            if groups is not None:
                self._found += 1
                return groups
        return None

    def learn(self, wire: bytes, form: _Form) -> int:
        """The number of points learned; 0 where it is not worth it or cannot be."""
        if self._learned >= _PATIENCE + 2 * self._found:
            return 0
        self._learned += 1
        if self._loosened(form.metrics):
            self._shapes.clear()
        laid = _layout(wire, form.metrics, self._loose)
        if laid is None:
            return 0
        layout, pieces = laid
        shape = self._shapes.get(layout)
        if shape is None:
            if len(self._shapes) >= _SHAPES_PER_FAMILY:
                del self._shapes[next(iter(self._shapes))]
            shape = self._shapes[layout] = _Shape(layout, pieces, form.clock_first)
        shape.forms[shape.unpack(wire)[::2]] = form
        return len(form.slots)

    def _loosened(self, metrics: Sequence[_Seen]) -> bool:
        """Whether a metric now lists the same series in another order, which nobody had noticed before."""
        before = len(self._loose)
        for number, metric in enumerate(metrics):
            if number not in self._loose and metric.may_be_loose:
                first = self._listed.setdefault((number, frozenset(metric.slots)), metric.slots)
                if first != metric.slots:
                    self._loose.add(number)
        return len(self._loose) > before


class Shapes:
    """What is known of the senders' ways. One generation: begun anew once `full`, never inside a request."""

    def __init__(self) -> None:
        self.interned = Interned()
        self._families: dict[tuple[int, bytes], _Family] = {}
        self._resources: dict[bytes, Resource] = {}
        self._weight = 0

    @property
    def full(self) -> bool:
        return self.interned.full or self._weight >= CACHED

    def decode(self, body: bytes) -> MetricsBatch:
        """ExportMetricsServiceRequest -> MetricsBatch. Raises Undecodable; Odd, or protobuf's DecodeError, when the
        request as a whole is not to be read like this."""
        batch, room = MetricsBatch(), Room(len(body))
        groups = batch.groups
        for resource_metrics in room.take(REQUEST.FromString(body).resource_metrics):
            resource = self._resource(_only(resource_metrics.resource))
            for wire in room.take(resource_metrics.scope_metrics):
                try:
                    groups += self._scope(wire, resource, room)
                except Odd as odd:
                    walked = list(walk_scope(ScopeMetrics.FromString(wire), resource, self.interned, batch, room))
                    batch.walked[str(odd)] += sum(len(group.values) for group in walked)
                    groups += walked
        return batch

    def _resource(self, wire: bytes) -> Resource:
        found = self._resources.get(wire)
        if found is None:
            if len(self._resources) >= CACHED:
                self._resources.clear()
            found = self._resources[wire] = self.interned.resource(ResourceMessage.FromString(wire))
        return found

    def _scope(self, wire: bytes, resource: Resource, room: Room) -> list[PointGroup]:
        # Scope and names stand at one end, as the first field or the last.
        key = len(wire), wire[:_EDGE] if wire[:1] == b"\n" else wire[-_EDGE:]
        family = self._families.get(key)
        known = None if family is None else family.read(wire, resource)
        return self._look(wire, key, resource, room) if known is None else known

    def _look(self, wire: bytes, key: tuple[int, bytes], resource: Resource, room: Room) -> list[PointGroup]:
        """Read a scope point by point, and learn its shape if that is worth it."""
        scope_metrics = SCOPE.FromString(wire)
        scope = InstrumentationScope.FromString(_only(scope_metrics.scope))
        numbers: list[tuple[Any, int, Any]] = []
        form = _Form(scope, [self._look_at(metric, numbers, room) for metric in room.take(scope_metrics.metrics)])
        if not numbers:
            return []
        family = self._families.get(key)
        if family is None:
            family = self._families[key] = _Family()
            self._weight += 1
        self._weight += family.learn(wire, form)
        first, _, second = zip(*numbers, strict=True)
        return form.groups(resource, *((first, second) if form.clock_first else (second, first)))

    def _look_at(self, metric: Any, numbers: list[tuple[Any, int, Any]], room: Room) -> _Seen:
        """The series of a metric; what stands at the head of its points is added to `numbers`."""
        kind, points = _number_points(metric)
        if kind is None:
            return _Seen((), (), (), 0.0)
        attributes: list[bytes] = []
        orders: list[Order] = []
        for tags, same in groupby(room.take(points), TAGS):
            known = ORDERS.get(tags)
            if known is None:
                raise Odd("a point with flags, exemplars or no value, or with its fields in no known order")
            (order, read), run = known, list(same)
            numbers += map(read, run)
            attributes += [point[order.end :] for point in run]
            orders += [order] * len(run)
        series = self.interned.series(metric.name, kind, metric.unit)
        return _Seen(_slots(series, attributes), attributes, orders, lowest(kind))


def _number_points(metric: Any) -> tuple[Kind | None, Sequence[bytes]]:
    """Kind and points; no kind where a metric is but a name. Raises Odd for what is no gauge or sum."""
    data = metric.WhichOneof("data")
    if metric.metadata:
        raise Odd("a metric with metadata")
    if data is None:
        return None, ()
    if data == "gauge":
        return "gauge", metric.gauge.points[:]
    if data != "sum":
        raise Odd(f"a metric of kind {data}")
    kind = SUM_KINDS.get((metric.sum.temporality, metric.sum.monotonic))
    if kind is None:
        raise Odd("an aggregation temporality that is unspecified")
    return kind, metric.sum.points[:]


def _only(repeated: Any) -> bytes:
    """The one element; none is an empty message, several would be merged."""
    if len(repeated) > 1:
        raise Odd("a resource or scope in several pieces")
    return repeated[0] if repeated else b""


def _layout(wire: bytes, metrics: Sequence[_Seen], loose: Collection[int]) -> tuple[str, list[_Piece]] | None:
    """Struct codes of a scope of these metrics; None where their points cannot be told in its bytes."""
    layout, pieces, done, total = "<", [], 0, 0
    found = list(fields_of(wire, 0, len(wire), 0x12))
    if len(found) != len(metrics):
        return None
    for number, ((begin, end), metric) in enumerate(zip(found, metrics, strict=True)):
        points = [p for data in fields_of(wire, begin, end, 0x2A, 0x3A) for p in fields_of(wire, *data, 0x0A)]
        if len(points) != len(metric.slots):
            return None
        if number in loose and metric.may_be_loose and (whole := _whole(points)) is not None:
            layout += f"{whole.start - done}s{whole.stop - whole.start}x0s0s0s"
            pieces.append(_Piece(number, whole, total))
            done, total = whole.stop, total + 1
            continue
        for (at, _), order in zip(points, metric.orders, strict=True):
            layout += f"{at + 1 - done}s{order.numbers}"
            done, total = at + order.end, total + 1
    return f"{layout}{len(wire) - done}s", pieces


def _whole(points: Sequence[tuple[int, int]]) -> slice | None:
    """The bytes of a list of points, if nothing stands between them and their lengths take one byte."""
    if any(end - begin > 127 for begin, end in points):
        return None
    if any(begin != end + 2 for (_, end), (begin, _) in pairwise(points)):
        return None
    return slice(points[0][0] - 2, points[-1][1])
