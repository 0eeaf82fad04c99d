"""From what a caller wrote to the host or the trace meant, or an error with the nearest ones and the next call."""

from __future__ import annotations

import difflib
import re

from hosts_mcp.answers.base import call, plural, when
from hosts_mcp.errors import AmbiguousName, BadArgument, NoSuchHost, NoSuchService, NoSuchTrace
from hosts_mcp.hosts.identity import Inventory
from hosts_mcp.hosts.names import fold
from hosts_mcp.store.protocol import Host, Store
from hosts_mcp.text import clean, quote

_TRACE_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_HEX = re.compile(r"[0-9a-f]+")
_SHOWN = 5


def find_host(store: Store, text: str) -> Host:
    """The host of that key, name, alias, id or unique prefix. Raises NoSuchHost or AmbiguousName, with candidates."""
    if not text.strip():
        raise BadArgument(f"Which host? Give a key or name as {call('list_hosts')} shows them.")
    # A key goes before every other reading of the text, and is what a caller has from the answer before.
    if (known := store.host(fold(text))) is not None:
        return known
    hosts = store.hosts()
    try:
        return Inventory(hosts).find(text)
    except NoSuchHost as error:
        if not hosts:
            message = (
                f"No host {quote(text, 64)}: no host has reported yet. Call {call('list_hosts')} for what arrived."
            )
        else:
            near, words = error.candidates, "Nearest"
            if not near:
                near, words = tuple(h.key for h in hosts[:_SHOWN]), "There are"
            message = f"No host {quote(text, 64)}. {_nearest(near, words)} Call {call('list_hosts')} for all."
        raise NoSuchHost(message, candidates=error.candidates) from None
    except AmbiguousName as error:
        message = f"{quote(text, 64)} fits several hosts. {_nearest(error.candidates, 'It could be')}"
        raise AmbiguousName(message, candidates=error.candidates) from None


def find_trace(store: Store, text: str) -> bytes:
    """The id of a stored trace, from 32 hex digits, a unique prefix, or any text that holds one (traceparent, link).

    Searched over all retention. Raises NoSuchTrace or AmbiguousName with candidates, BadArgument when it is no id.
    """
    wanted = text.strip().lower()
    if (found := _TRACE_ID.search(wanted)) is not None:
        if store.trace_ids(found.group(), 1):
            return bytes.fromhex(found.group())
        raise _no_such_trace(store, found.group())
    prefix = wanted.removeprefix("0x").replace("-", "")
    if not _HEX.fullmatch(prefix) or len(prefix) > 32:
        raise BadArgument(
            f"{quote(text, 64)} is no trace id: it has 32 hex digits, or give a unique prefix of at least 8. "
            f"Call {call('find_traces')} for ids."
        )
    ids = store.trace_ids(prefix, 10)
    if len(ids) == 1:
        return ids[0]
    if ids:
        near = tuple(i.hex() for i in ids)
        raise AmbiguousName(
            f"Several traces begin with {prefix}. {_nearest(near, 'Give more digits; the newest are')}", candidates=near
        )
    raise _no_such_trace(store, prefix)


def find_service(store: Store, text: str) -> str:
    """The service.name that sent spans, as it is written; case and a unique beginning do not matter.

    Raises NoSuchService or AmbiguousName, with candidates.
    """
    wanted = text.strip()
    names = sorted({str(name) for e in store.services() if (name := e.attributes.get("service.name"))})
    folded = wanted.lower()
    readings = (
        [n for n in names if n == wanted],
        [n for n in names if n.lower() == folded],
        [n for n in names if n.lower().startswith(folded)],
    )
    if found := next((fitting for fitting in readings if fitting), []):
        if len(found) == 1:
            return found[0]
        message = f"{quote(wanted, 64)} fits several services. {_nearest(tuple(found), 'It could be')}"
        raise AmbiguousName(message, candidates=tuple(found[:_SHOWN]))
    near = tuple(difflib.get_close_matches(wanted, names, _SHOWN, 0.5))
    said = _nearest(near or tuple(names), "Nearest" if near else "There are") if names else "No service has sent spans."
    raise NoSuchService(f"No service {quote(wanted, 64)} has sent spans. {said}", candidates=near)


def _no_such_trace(store: Store, wanted: str) -> NoSuchTrace:
    about = store.about()
    near = next((ids for n in (12, 8, 6, 4, 3, 2) if (ids := store.trace_ids(wanted[:n], _SHOWN))), [])
    near = near or store.trace_ids("", _SHOWN)
    searched = f"all {plural(about.traces, 'trace')} kept" if about.traces else "the file, which holds no trace yet"
    since = f" since {when(about.oldest_ns)}" if about.traces and about.oldest_ns else ""
    names = tuple(i.hex() for i in near)
    advice = _nearest(names) if names else f"Call {call('list_hosts')} for what has arrived."
    return NoSuchTrace(f"No trace {wanted}: searched {searched}{since}. {advice}", candidates=names)


def _nearest(candidates: tuple[str, ...], words: str = "Nearest") -> str:
    if not candidates:
        return f"Call {call('list_hosts')} for the names there are."
    shown = ", ".join(quote(clean(c, 64), 64) for c in candidates[:_SHOWN])
    more = len(candidates) - _SHOWN
    return f"{words}: {shown}{f' and {more} more' if more > 0 else ''}."
