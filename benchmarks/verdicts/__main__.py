"""`python -m benchmarks.verdicts [--cases N] [--seed S] [--family F] [--show CASE] [--wrong]`"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.verdicts import DEVELOPMENT, HELD_OUT, score
from benchmarks.verdicts.families import FAMILIES, make_case
from benchmarks.verdicts.path import judged
from benchmarks.verdicts.run import outcomes, wanted
from benchmarks.verdicts.score import Outcome

PROGRESS_SECONDS = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.verdicts", description="Measures was_it_the_box on made cases."
    )
    parser.add_argument("--cases", type=int, default=1110, help="how many, spread evenly over the families")
    parser.add_argument("--seed", type=int, default=HELD_OUT[0], help=f"development {DEVELOPMENT}, held out {HELD_OUT}")
    parser.add_argument("--family", action="append", choices=list(FAMILIES), help="only this one; may be repeated")
    parser.add_argument(
        "--show", metavar="CASE", help="one case as `family:seed:number`: its truth and the whole answer"
    )
    parser.add_argument(
        "--wrong", action="store_true", help="list the cases that were not accepted, or whose origin is wrong"
    )
    args = parser.parse_args()
    if args.show:
        show(args.show)
        return
    found: list[Outcome] = []
    todo = wanted(args.cases, args.seed, args.family or ())
    told = begun = time.monotonic()
    for one in outcomes(todo):
        found.append(one)
        if time.monotonic() - told > PROGRESS_SECONDS or len(found) == len(todo):
            told = time.monotonic()
            right = sum(o.accepted for o in found)
            print(
                f"{len(found)}/{len(todo)} cases, {right} accepted, {told - begun:.0f} s", file=sys.stderr, flush=True
            )
    kind = "held out" if args.seed in HELD_OUT else "development" if args.seed in DEVELOPMENT else "neither"
    print(f"{len(found)} cases of seed {args.seed} ({kind})\n")
    for lines in (score.table(found), score.confusion(found), score.calibration(found), score.beside(found)):
        print("\n".join(lines), end="\n\n")
    if args.wrong:
        for o in found:
            if not (o.accepted and o.origin_right):
                print(told_briefly(o))


def told_briefly(o: Outcome) -> str:
    t = o.truth
    share = "" if t.share is None else f" share {t.share:.2f} of {t.ratio or 1.0:.2f}x"
    return (
        f"{o.name:26} truth {t.verdict}{share} {'/'.join(sorted(t.accepted))} by {'/'.join(sorted(t.resources)) or '-'}"
        f" {'/'.join(sorted(t.origins))} | said {o.said.verdict} {o.said.confidence:.2f} {o.said.resource} {o.said.origin or ''}"
    )


def show(name: str) -> None:
    family, seed, number = name.split(":")
    case = make_case(family, int(seed), int(number))
    t = case.truth
    print(f"truth     {t.verdict}; accepted {', '.join(sorted(t.accepted))}; rules {', '.join(t.widened) or 'none'}")
    if t.share is not None:
        print(f"          share {t.share:.2f} of {t.ratio:.2f} times usual")
    print(
        f"          {', '.join(sorted(t.resources))} by {', '.join(sorted(t.origins))} on {', '.join(sorted(t.hosts))}"
    )
    for box in case.boxes.values():
        s = box.shape
        print(
            f"{box.name:9} {box.cores} cores, {box.memory_bytes / 2**30:.0f} GiB, {box.disk.name}, swap {box.swap}, CPU {box.base_cpu:.2f},"
            f" memory {box.base_memory:.2f}; every {s.interval:.0f} s: {', '.join(sorted(s.scrapers))}"
        )
        for x in box.loads:
            shown = {k: v for k, v in vars(x).items() if v not in (0.0, False, 0) and k not in ("start", "end")}
            print(f"          load {x.start - case.run.start:+.1f} to {x.end - case.run.start:+.1f} s: {shown}")
    print(
        f"trace     {case.run.seconds:.2f} s, died {case.run.died and case.run.died - case.run.start}; {len(case.earlier)} other runs"
    )
    for s in case.run.spans[:12]:
        print(
            f"          {s.node.name:16} {s.start - case.run.start:9.3f} {s.end - s.start:9.3f} s on {s.node.host} {s.error or ''}"
        )
    print()
    print(judged(case).said.text)


if __name__ == "__main__":
    main()
