"""One run at a time in a place, whatever became of the one before."""

import os
import signal
import subprocess
import sys

import pytest

from glomfeat.core.locks import InUseError, alone_in, mark_of

HOLDER = """
import sys, time
from pathlib import Path
from glomfeat.core.locks import alone_in
with alone_in(Path(sys.argv[1]), "--out"):
    print("here", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that works in a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "here\n"
    yield process
    process.kill()
    process.communicate()


def test_two_at_once_are_refused_in_words_and_a_killed_one_holds_nobody_up(tmp_path, holder):
    out = tmp_path / "out"
    with pytest.raises(InUseError) as refused, alone_in(out, "--out"):
        pass
    assert str(refused.value).startswith(f"another run (process {holder.pid} on ")
    assert str(refused.value).endswith(
        f") is writing to {out}: wait until it has ended, or choose another one with --out"
    )
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert mark_of(out).is_file(), "what a killed process leaves"
    with alone_in(out, "--out"):
        assert f"process {os.getpid()} on " in mark_of(out).read_text()
    assert not out.exists() or not any(out.iterdir())


def test_a_mark_that_was_deleted_while_somebody_waited_for_it_keeps_nobody_off(tmp_path, monkeypatch):
    from glomfeat.core import locks

    out, seen, real = tmp_path, [], locks.try_lock

    def late(file, alone=True, wait=False):
        if not seen:
            seen.append(mark_of(out).unlink())  # its holder ends between opening and locking
        return real(file, alone, wait)

    monkeypatch.setattr(locks, "try_lock", late)
    with alone_in(out, "--out"):
        assert mark_of(out).is_file()
        with pytest.raises(InUseError), alone_in(out, "--out"):
            pass


def test_a_mark_beside_a_file_leaves_other_files_alone(tmp_path):
    with alone_in(tmp_path / "a.csv", "--out", beside=True), alone_in(tmp_path / "b.csv", "--out", beside=True):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".a.csv.lock", ".b.csv.lock"]
    assert not any(tmp_path.iterdir())


def test_a_folder_that_was_made_for_nothing_is_gone(tmp_path):
    with pytest.raises(ValueError, match="nothing to do"), alone_in(tmp_path / "out", "--out"):
        raise ValueError("nothing to do")
    assert not (tmp_path / "out").exists()
