"""The made-up world obeys its few laws, and the truth of a case follows from them and not from its family's name."""

import random
from dataclasses import replace

import pytest

from benchmarks.verdicts.case import slow_truth
from benchmarks.verdicts.collector import Collector
from benchmarks.verdicts.families import CLEAR, FAMILIES, make_case
from benchmarks.verdicts.label import RULES
from benchmarks.verdicts.physics import DISKS
from benchmarks.verdicts.program import Execution, Node
from benchmarks.verdicts.world import Box, Load, Shape

SSD = DISKS[1]
QUIET = Box("box", 4, 8 * 2**30, SSD, False, 0.0, 0.3, 0.0, 1000.0, 0.5, 7, Shape())


def seconds(node: Node, *loads: Load, box: Box = QUIET) -> float:
    here = replace(box, loads=loads, _seen={})
    return Execution({"box": here}, random.Random(1), None).run(node, 1000.0).seconds


def test_threads_beyond_the_cores_share_them_fairly() -> None:
    work = Node("compute", cpu=10.0)
    assert seconds(work) == pytest.approx(10.0, rel=0.01)
    assert seconds(work, Load("hog", 0, 1e6, threads=3)) == pytest.approx(10.0, rel=0.01)
    assert seconds(work, Load("hog", 0, 1e6, threads=15)) == pytest.approx(40.0, rel=0.01)


def test_niced_threads_fill_the_box_and_delay_nobody() -> None:
    assert seconds(Node("compute", cpu=10.0), Load("hog", 0, 1e6, threads=40, weight=15 / 1024)) == pytest.approx(
        10.0, rel=0.01
    )


def test_a_disk_serves_so_many_at_once_and_lets_the_rest_wait() -> None:
    work = Node("read", requests=4000.0)
    assert seconds(work) == pytest.approx(1.0, rel=0.01)
    assert seconds(work, Load("hog", 0, 1e6, depth=SSD.parallel / 2)) == pytest.approx(1.0, rel=0.01)
    assert seconds(work, Load("hog", 0, 1e6, depth=SSD.parallel * 10)) == pytest.approx(10.0, rel=0.02)


def test_a_sleep_is_nobodys_doing_whatever_the_box_does() -> None:
    hog = Load("hog", 0, 1e6, threads=40)
    assert seconds(Node("wait", sleep=5.0), hog) == pytest.approx(5.0, rel=0.01)


def test_the_truth_is_the_share_that_goes_away_on_the_calm_box() -> None:
    box = replace(QUIET, loads=(Load("hog", 0, 1e6, threads=12),), _seen={})
    computing, waiting = Node("a", cpu=10.0), Node("b", cpu=1.0, sleep=36.0)
    for tree, usual, verdict in ((computing, 10.0, "yes"), (waiting, 10.0, "no")):
        run = Execution({"box": box}, random.Random(1), None).run(tree, 1000.0)
        truth = slow_truth({"box": box}, tree, run, usual, 1)
        assert (truth.verdict, truth.resources) == (verdict, frozenset({"cpu"}))
        assert truth.origins == {"neighbour"}


def test_what_is_there_every_day_is_not_taken_away_for_the_calm_box() -> None:
    always = Load("hog", 0, 1e6, threads=12, incident=False)
    box = replace(QUIET, loads=(always,), _seen={})
    tree = Node("a", cpu=10.0)
    run = Execution({"box": box}, random.Random(1), None).run(tree, 1000.0)
    assert slow_truth({"box": box}, tree, run, 10.0, 1).verdict == "no"


def test_page_cache_is_thrown_out_before_memory_is_full_and_read_back_by_what_the_disk_moves() -> None:
    fills = Load("hog", 100.0, 130.0, memory=0.69, climbs=True)
    box = replace(QUIET, base_depth=0.01, loads=(fills,), _seen={})
    collector = Collector(box, (), {})
    kept = {}
    for t in range(200):
        collector._step(float(t), 1.0)
        kept[t + 1] = collector.counts.cache
    assert kept[50] == pytest.approx(0.35)
    assert kept[112] == pytest.approx(0.35)  # memory fills: what is free is taken first
    assert kept[130] < 0.02
    assert kept[130] < kept[150] < kept[199] < 0.35


def test_counters_never_run_backwards_and_cpu_seconds_add_up() -> None:
    case = make_case("vacuum", 3, 1)
    box = case.boxes["box"]
    collector = Collector(box, case.processes["box"], case.uses["box"])
    before = sum(collector.counts.cpu.values())
    list(collector.requests(case.run.start - 600.0, case.run.start - 600.0, case.run.start))
    passed = sum(collector.counts.cpu.values()) - before
    assert passed == pytest.approx(600.0 * box.cores, rel=0.01)


def test_the_same_seed_makes_the_same_case() -> None:
    one, two = (make_case("paging", 11, 2) for _ in range(2))
    assert (one.truth, one.run.spans) == (two.truth, two.run.spans)


def test_at_least_forty_per_cent_of_the_families_are_not_the_box() -> None:
    assert len(CLEAR) >= 0.4 * len(FAMILIES)


@pytest.mark.parametrize("family", sorted(CLEAR))
def test_no_rule_ever_accepts_the_blame_of_an_innocent_box(family: str) -> None:
    truth = make_case(family, 21, 0).truth
    assert truth.verdict == "no" or family in ("bystander_box", "peer_on_overload")
    assert truth.verdict != "no" or "yes" not in truth.accepted
    assert set(truth.widened) <= set(RULES)
