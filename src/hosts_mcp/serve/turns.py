"""How soon threads take turns: sooner while an answer is computed.

Each time the writer comes back from SQLite, some ten times a commit, it waits for whoever computes to give way. With
Python's own five milliseconds acknowledgements come late while somebody asks; with one they do not, but a flood of
requests that nobody asks about costs a tenth more.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SHORT_SECONDS = 0.001

_lock = threading.Lock()
_asked = 0
_usual_seconds = sys.getswitchinterval()


@contextmanager
def short() -> Iterator[None]:
    """Turns are short inside, in all threads; as they were once nobody is inside any more."""
    global _asked, _usual_seconds
    with _lock:
        _asked += 1
        if _asked == 1:
            _usual_seconds = sys.getswitchinterval()
            sys.setswitchinterval(SHORT_SECONDS)
    try:
        yield
    finally:
        with _lock:
            _asked -= 1
            if _asked == 0:
                sys.setswitchinterval(_usual_seconds)
