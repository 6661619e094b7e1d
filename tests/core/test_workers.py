"""Calls side by side: within the budget, and with nothing lost when a worker is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import psutil
import pytest

from glomfeat.core import workers
from glomfeat.core.memory import held_bytes
from glomfeat.core.part_errors import PartError, calling
from glomfeat.core.watched import limited
from glomfeat.core.workers import PROCESS_BYTES, Call, alone, how_many, no_workers_left, side_by_side

GB = 10**9


@pytest.fixture(autouse=True)
def _fresh_workers():
    with no_workers_left():
        yield


def log_and_wait(folder, name):
    """Note when a call begins and ends."""
    began = time.monotonic()
    time.sleep(0.15)
    (folder / name).write_text(f"{began} {time.monotonic()}")
    return name


def die(folder, name):
    """Be killed: always, once, or never."""
    mark = folder / name
    if name.startswith("always") or (name.startswith("once") and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def most_at_once(folder, needs):
    """The largest sum of needs, and the largest number, of calls that ran at one moment."""
    spans = {path.name: tuple(map(float, path.read_text().split())) for path in folder.iterdir()}
    together = [
        [name for name, (began, ended) in spans.items() if began <= moment < ended] for moment, _ in spans.values()
    ]
    return max(sum(needs[name] for name in names) for names in together), max(map(len, together))


def budget_for(free, workers):
    """A budget of which so much is left for the calls of so many workers."""
    return held_bytes(psutil.Process()) + workers * PROCESS_BYTES + free


def test_calls_are_admitted_while_their_sum_fits(tmp_path):
    needs = {name: 60 if name < "d" else 30 for name in "abcdefg"}
    needs = {name: need * 10**6 for name, need in needs.items()}
    calls = [Call(name, need) for name, need in needs.items()]
    free = 100 * 10**6
    found = list(side_by_side(partial(log_and_wait, tmp_path), calls, "calls", 3, budget_for(free, 3) + 30 * 10**6))
    assert sorted(ended.item for ended in found) == list("abcdefg") and not any(ended.lost for ended in found)
    assert all(ended.found == ended.item and ended.tree_bytes > 0 for ended in found)
    largest, count = most_at_once(tmp_path, needs)
    assert largest <= 130 * 10**6 and 2 <= count <= 3


def test_what_is_larger_than_the_budget_runs_alone(tmp_path):
    calls = [Call(name, 5 * GB) for name in "abc"]
    found = list(side_by_side(partial(log_and_wait, tmp_path), calls, "calls", 2, GB))
    assert len(found) == 3 and most_at_once(tmp_path, dict.fromkeys("abc", 1))[1] == 1


def test_what_takes_most_begins_first(tmp_path):
    calls = [Call(name, need) for name, need in {"a": 10**6, "b": 3 * 10**6, "c": 2 * 10**6}.items()]
    found = list(side_by_side(partial(log_and_wait, tmp_path), calls, "calls", 2, budget_for(0, 1)))
    assert [ended.found for ended in found] == ["b", "c", "a"] and most_at_once(tmp_path, dict.fromkeys("abc", 1))[
        1
    ] == 1


@pytest.mark.parametrize(("free", "jobs", "workers"), [(10, 4, 4), (2.5, 4, 4), (0.9, 4, 1), (-1, 4, 1), (10, 1, 1)])
def test_workers_are_as_many_as_leave_room_for_the_largest_call(free, jobs, workers):
    calls = [Call(k, GB) for k in range(9)]
    budget = held_bytes(psutil.Process()) + jobs * PROCESS_BYTES + int(free * GB)
    found, rest = how_many(calls, jobs, budget)
    if 0 < free < 1:  # room for the call comes from workers that are not started
        assert 1 <= found < jobs and rest >= GB
    else:
        assert found == workers
    assert abs(rest - (budget - held_bytes(psutil.Process()) - found * PROCESS_BYTES)) < 50 * 10**6


def test_a_killed_worker_costs_nothing_but_time(tmp_path):
    calls = [Call(name, 0) for name in ("once-a", "b", "c", "d", "e")]
    found = list(side_by_side(partial(die, tmp_path), calls, "calls", 2, 8 * GB))
    assert sorted(ended.found for ended in found) == ["b", "c", "d", "e", "once-a"]
    assert not any(ended.lost for ended in found)


def test_a_call_that_kills_its_worker_even_alone_is_lost_and_the_others_go_on(tmp_path):
    calls = [Call(name, 10**6) for name in ("a", "always-b", "c", "d")]
    found = {ended.item: ended for ended in side_by_side(partial(die, tmp_path), calls, "calls", 2, 8 * GB)}
    lost = found.pop("always-b")
    assert lost.found is None and sorted(ended.found for ended in found.values()) == ["a", "c", "d"]
    assert lost.lost == (
        "memory: its worker process was killed twice, most likely because memory ran out (planned 1.0 MB "
        "beside 260.0 MB of the process, budget 8.0 GB): free memory on this machine, "
        "or take a smaller reducer, and run the same command again"
    )


def test_one_job_stays_in_this_process():
    (ended,) = side_by_side(lambda _: os.getpid(), [Call("x", 0)], "calls", 1, GB)
    assert ended.found == os.getpid() and ended.tree_bytes >= 0.9 * held_bytes(psutil.Process())


def test_short_calls_in_this_process_share_the_looks_at_memory(monkeypatch):
    looks = []
    monkeypatch.setattr("glomfeat.core.workers.tree_bytes", lambda: looks.append(1) or 7)
    found = list(side_by_side(abs, [Call(-k, 0) for k in range(200)], "calls", 1, GB))
    assert [ended.found for ended in found] == list(range(200)) and {ended.tree_bytes for ended in found} == {7}
    assert len(looks) < 100


def test_an_error_of_a_call_is_raised_and_no_worker_stays(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(side_by_side(partial(log_and_wait, tmp_path / "nowhere"), [Call("x", 0)] * 4, "calls", 2, 8 * GB))


def end_oneself(name):
    """Leave in one way or another, or never."""
    with limited(), calling("head", "mylab:lda"):
        if name == "exit":
            os._exit(0)
        while name == "loop":
            time.sleep(0.05)
    return os.getpid()


def test_a_call_that_ends_its_process_is_lost_at_once_and_says_where():
    calls = [Call(name, 0) for name in ("exit", "loop", "good")]
    found = {one.item: one for one in side_by_side(end_oneself, calls, "calls", 2, 8 * GB, seconds=1.0)}
    assert found["good"].found != os.getpid() and [one.status for one in found.values()].count("failed") == 2
    assert found["exit"].lost.startswith(
        "head mylab:lda: end_oneself ended its process (exit status 0) (tests/core/test_"
    )
    assert found["exit"].lost.endswith(": os._exit(0))")
    assert found["loop"].lost.startswith("head mylab:lda: end_oneself took longer than --timeout 1 s (tests/core/test_")
    assert found["loop"].lost.endswith(": time.sleep(0.05))")


def test_one_job_apart_leaves_this_process_and_comes_back_for_what_cannot_be_sent():
    (ended,) = side_by_side(end_oneself, [Call("good", 0)], "calls", 1, GB, apart=True)
    assert ended.found != os.getpid()
    lock = threading.Lock()
    (ended,) = side_by_side(lambda _: (lock, os.getpid())[1], [Call("x", 0)], "calls", 1, GB, apart=True)
    assert ended.found == os.getpid()
    (ended,) = side_by_side(lambda _: lock, [Call("x", 0)], "calls", 1, GB, seconds=9.0)
    assert ended.status == "failed" and ended.lost == (
        "it cannot be sent to a worker process (TypeError: cannot pickle '_thread.lock' object), which --timeout "
        "needs: leave that out"
    )


def test_a_call_alone_gives_what_it_returns_or_why_it_does_not():
    assert alone(divmod, 7, 3) == (2, 1)
    with pytest.raises(ZeroDivisionError):
        alone(divmod, 7, 0)
    with pytest.raises(PartError, match=r"^head mylab:lda: end_oneself ended its process \(exit status 0\) \(tests"):
        alone(end_oneself, "exit")


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="a system without masks of signals")
def test_ctrl_c_reaches_this_process_and_none_of_its_workers():
    asked = (
        "import signal; from glomfeat.core.workers import alone, no_workers_left\n"
        "asked = signal.pthread_sigmask, signal.SIG_BLOCK, []\n"
        "with no_workers_left():\n"
        "    print(alone(*asked), asked[0](*asked[1:]))"
    )
    # in a fresh process, where the first worker is the first of all
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert said.stdout == "{<Signals.SIGINT: 2>} set()\n" and said.stderr == ""


def test_a_call_that_is_interrupted_as_it_is_handed_over_ends_without_a_word(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    raised = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    for _ in range(6):
        alone(abs, -1)
        with monkeypatch.context() as patch:
            patch.setattr(workers, "wait", interrupted)
            with pytest.raises(KeyboardInterrupt):
                alone(time.sleep, 60)
    assert raised == []


def test_no_calls_no_workers():
    assert list(side_by_side(abs, [], "calls", 2, GB)) == []
