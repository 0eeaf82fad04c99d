"""`python -m benchmarks`: every figure, one table."""

from benchmarks import ingest


def main() -> None:
    for figure, value in ingest.measure():
        print(f"{figure:24} {value}")


main()
