"""`python -m benchmarks [NAME ...]`: every figure, one table. Names are those of `FIGURES`."""

import sys
from collections.abc import Callable, Iterator

from benchmarks import asking, background, decode, inflight, keeping, load, path, spans, steady, store
from benchmarks.measuring import Row

FIGURES: dict[str, Callable[[], Iterator[Row]]] = {
    "decode": decode.measure,
    "path": path.measure,
    "store": store.measure,
    "asking": asking.measure,
    "keeping": keeping.measure,
    "background": background.measure,
    "spans": spans.measure,
    "load": load.measure,
    "steady": steady.measure,
    "inflight": inflight.measure,
}


def main() -> None:
    for name in sys.argv[1:] or FIGURES:
        for figure, value in FIGURES[name]():
            print(f"{figure:44} {value}", flush=True)


if __name__ == "__main__":
    main()
