"""`python -m benchmarks [NAME ...]`: every figure, one table. Names: decode, path, store, spans, load, inflight."""

import sys
from collections.abc import Callable, Iterator

from benchmarks import decode, inflight, load, path, spans, store
from benchmarks.measuring import Row

FIGURES: dict[str, Callable[[], Iterator[Row]]] = {
    "decode": decode.measure,
    "path": path.measure,
    "store": store.measure,
    "spans": spans.measure,
    "load": load.measure,
    "inflight": inflight.measure,
}


def main() -> None:
    for name in sys.argv[1:] or FIGURES:
        for figure, value in FIGURES[name]():
            print(f"{figure:44} {value}", flush=True)


if __name__ == "__main__":
    main()
