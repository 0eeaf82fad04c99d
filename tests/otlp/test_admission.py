"""The budget of bytes in flight: its laws, whoever waits, gives up or is cancelled, and whenever."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from hosts_mcp.otlp import admission as budget
from hosts_mcp.otlp.admission import Admission, Held
from hosts_mcp.otlp.transport import Busy


def run(use: Callable[[Admission], Coroutine[Any, Any, None]], limit: int = 100) -> None:
    """Inside an event loop, where whatever a callback raises fails the test too; all room is back at the end."""
    raised: list[Any] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
        admission = Admission(limit)
        await use(admission)
        await asyncio.sleep(0)
        assert admission.in_flight == 0
        async with admission.hold() as held:
            await held.take(limit)  # nobody is left in the way

    asyncio.run(watched())
    assert not raised


async def settled(admission: Admission, size: int, until: asyncio.Event) -> None:
    async with admission.hold() as held:
        await held.take(size)
        held.settle(size)
        await until.wait()


async def occupied(admission: Admission, size: int) -> tuple[asyncio.Event, asyncio.Task[None]]:
    """A whole request of this size that waits for its commit until the event is set."""
    until = asyncio.Event()
    task = asyncio.create_task(settled(admission, size, until))
    while admission.in_flight < size:
        await asyncio.sleep(0)
    return until, task


def test_the_oldest_is_served_first() -> None:
    async def use(admission: Admission) -> None:
        order: list[str] = []

        async def hold(name: str, size: int) -> None:
            async with admission.hold() as held:
                await held.take(size)
                held.settle(size)
                order.append(name)
                await asyncio.sleep(0.01)

        await asyncio.gather(*(hold(name, 60) for name in "abc"), hold("small", 30))
        assert order == ["a", "b", "c", "small"]

    run(use)


def test_what_does_not_fit_waits_for_a_commit_and_then_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PATIENCE_SECONDS", 0.05)

    async def use(admission: Admission) -> None:
        until, first = await occupied(admission, 90)
        async with admission.hold() as held:
            with pytest.raises(Busy):
                await held.take(11)
            await held.take(10)
            assert admission.in_flight == 100
        until.set()
        await first

    run(use)


def test_a_request_larger_than_the_limit_is_admitted_where_nothing_waits_for_a_commit() -> None:
    async def use(admission: Admission) -> None:
        async with admission.hold() as held:
            await held.take(1000)
            held.settle(1000)
            assert admission.in_flight == 1000

    run(use)


def test_requests_that_grow_side_by_side_never_wait_for_each_other_for_ever() -> None:
    async def use(admission: Admission) -> None:
        most = 0

        async def grow() -> None:
            nonlocal most
            async with admission.hold() as held:
                for size in range(10, 90, 10):
                    await held.take(size)
                    most = max(most, admission.in_flight)
                    await asyncio.sleep(0)
                held.settle(80)
                await asyncio.sleep(0)

        await asyncio.gather(*(grow() for _ in range(20)))
        assert most <= 100 + 80

    run(use)


def test_senders_that_stop_halfway_keep_nobody_else_out() -> None:
    async def use(admission: Admission) -> None:
        stalled = [admission.hold() for _ in range(10)]
        for held in stalled:
            await held.take(10)
        async with admission.hold() as held:
            await held.take(50)
            held.settle(50)
        for held in stalled:
            await held.__aexit__(None, None, None)

    run(use)


def test_bytes_keep_their_room_until_they_are_stored_even_when_the_sender_goes() -> None:
    async def use(admission: Admission) -> None:
        stored = asyncio.get_running_loop().create_future()

        async def send() -> None:
            async with admission.hold() as held:
                await held.take(70)
                held.settle(70)
                await held.until_stored(stored)

        sending = asyncio.create_task(send())
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert admission.in_flight == 70
        stored.set_exception(Busy("the disk is full"))
        await asyncio.sleep(0)

    run(use)


def test_room_granted_to_a_waiter_in_the_moment_of_its_cancellation_comes_back() -> None:
    async def use(admission: Admission) -> None:
        for cancel_first in (True, False):
            _, first = await occupied(admission, 100)
            waiting = asyncio.create_task(settled(admission, 60, asyncio.Event()))
            behind_until = asyncio.Event()
            behind = asyncio.create_task(settled(admission, 60, behind_until))
            await asyncio.sleep(0)
            if cancel_first:
                waiting.cancel()
                first.cancel()  # its room is granted before `waiting` has run
            else:
                first.cancel()
                while admission.in_flight == 100:
                    await asyncio.sleep(0)
                waiting.cancel()
            await asyncio.gather(first, waiting, return_exceptions=True)
            assert admission.in_flight == 60  # the one behind
            behind_until.set()
            await behind

    run(use)


def test_a_waiter_that_gives_up_makes_way_for_smaller_ones_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(admission: Admission) -> None:
        until, first = await occupied(admission, 90)
        large, small_until = asyncio.create_task(settled(admission, 50, asyncio.Event())), asyncio.Event()
        await asyncio.sleep(0)
        small = asyncio.create_task(settled(admission, 10, small_until))
        await asyncio.sleep(0)
        assert admission.in_flight == 90
        large.cancel()
        await asyncio.gather(large, return_exceptions=True)
        assert admission.in_flight == 100
        small_until.set()
        until.set()
        await asyncio.gather(small, first)

    run(use)


@pytest.mark.parametrize("seed", range(5))
def test_under_load_with_cancellations_at_any_moment_nothing_leaks(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PATIENCE_SECONDS", 0.003)
    rng = random.Random(seed)
    ends = {"stored": 0, "busy": 0, "cancelled": 0}

    async def one(admission: Admission, held: Held) -> None:
        final = rng.randrange(1, 60)
        try:
            async with held:
                for size in sorted(rng.randrange(1, final + 1) for _ in range(3)):
                    await held.take(size)
                    await asyncio.sleep(rng.choice([0, 0, 0.001]))
                await held.take(final)
                held.settle(rng.randrange(0, final + 1))
                await held.until_stored(asyncio.sleep(rng.choice([0, 0.002])))
            ends["stored"] += 1
        except Busy:
            ends["busy"] += 1
        except asyncio.CancelledError:
            ends["cancelled"] += 1
        assert admission.in_flight <= 100 + 60

    async def use(admission: Admission) -> None:
        tasks = []
        for _ in range(600):
            tasks.append(asyncio.create_task(one(admission, admission.hold())))
            if rng.random() < 0.5:
                rng.choice(tasks).cancel()
            if rng.random() < 0.3:
                await asyncio.sleep(rng.choice([0, 0.001]))
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)

    run(use)
    assert min(ends.values()) > 0, ends
