from __future__ import annotations

import os
import threading

import pytest

from pretrained_embed.errors import OptionError
from pretrained_embed.formats import parallel
from pretrained_embed.formats.parallel import per_thread, run_in_order, thread_count

every_count = pytest.mark.parametrize("threads", [1, 2, 7, 50])


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@every_count
@pytest.mark.parametrize("parts", [0, 1, 2, 20])
def test_results_come_in_order_of_number(threads, parts):
    done = list(run_in_order(lambda part: part * part, parts, threads))

    assert done == [part * part for part in range(parts)]


def test_later_parts_wait_for_earlier_ones_that_take_longer():
    second_is_done = threading.Event()

    def work(part):
        if part == 0:
            assert second_is_done.wait(10)
        else:
            second_is_done.set()
        return part

    assert list(run_in_order(work, 2, 2)) == [0, 1]


def test_parts_are_done_by_several_threads():
    together = threading.Barrier(3)

    def work(part):
        together.wait(10)
        return threading.get_ident()

    assert len(set(run_in_order(work, 3, 3))) == 3


@every_count
def test_the_first_error_in_order_is_raised(threads):
    def work(part):
        if part in (3, 4, 9):
            raise ValueError(part)
        return part

    results = run_in_order(work, 12, threads)

    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"^3$"):
        next(results)


def test_an_earlier_error_wins_over_one_that_happened_before_it():
    later_has_failed = threading.Event()

    def work(part):
        if part == 1:
            later_has_failed.set()
        else:
            assert later_has_failed.wait(10)
        raise ValueError(part)

    with pytest.raises(ValueError, match=r"^0$"):
        list(run_in_order(work, 2, 2))


def test_an_interrupt_of_a_part_reaches_the_caller():
    def work(part):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_in_order(work, 5, 2))


@every_count
def test_giving_up_begins_no_more_parts(threads):
    begun = []
    results = run_in_order(lambda part: begun.append(part), 1_000, threads)

    next(results)
    results.close()

    assert len(begun) <= 1 + 2 * threads
    assert sorted(begun) == list(range(len(begun)))


def test_threads_run_ahead_by_twice_their_number_and_no_more():
    taken = 0
    begun = threading.Semaphore(0)

    def work(part):
        begun.release()
        return part - taken  # ahead of the parts taken

    ahead = []
    for distance in run_in_order(work, 100, 3):
        if not taken:
            for _ in range(6):  # now they have gone as far as they may
                assert begun.acquire(timeout=10)
        taken += 1
        ahead.append(distance)

    assert max(ahead) <= 6


def test_errors_stop_the_parts_behind_them():
    begun = []

    def work(part):
        begun.append(part)
        raise ValueError(part)

    with pytest.raises(ValueError, match=r"^0$"):
        list(run_in_order(work, 1_000, 4))

    assert len(begun) <= 4


def test_each_thread_has_its_own_object():
    together = threading.Barrier(2)
    own = per_thread(object)

    def work(part):
        if part < 2:
            together.wait(10)
        return own(), own()

    pairs = list(run_in_order(work, 10, 2))

    assert all(one is two for one, two in pairs)
    assert len({id(one) for one, _ in pairs}) == 2


def test_by_default_there_are_as_many_threads_as_cpus_that_may_be_used(monkeypatch):
    monkeypatch.setattr(
        parallel.os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False
    )
    assert thread_count(None) == 3
    monkeypatch.delattr(parallel.os, "sched_getaffinity")
    assert thread_count(None) == (os.cpu_count() or 1)
    assert thread_count(5) == 5


@pytest.mark.parametrize("threads", [0, -1])
def test_fewer_than_one_thread_is_refused(threads):
    with pytest.raises(OptionError, match=f"threads is {threads}; at least 1"):
        thread_count(threads)
