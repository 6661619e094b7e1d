"""Commands in processes of their own that begin at once: a process that has loaded everything forks for each."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from helpers.campaign.jobs import JOBS, Ended, run_here
from helpers.faults import failing

PATIENCE_S = 30


@dataclass(frozen=True)
class Plan:
    """How a command in a process of its own is disturbed.

    Attributes
    ----------
    number : int
        A signal; 0 for none.
    at : int
        At which thing that is asked of the files in `folder` the process sends it to itself.
    folder : str
    """

    number: int = 0
    at: int = 0
    folder: str = ""


class Zygote:
    """The process that forks. Use it as a context."""

    def __enter__(self):
        path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "helpers.campaign.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=os.environ | {"PYTHONPATH": path},
        )
        assert self._answer(10 * PATIENCE_S) == "ready"
        return self

    def __exit__(self, *exception):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(self, name, place, plan=Plan(), log="log"):
        """Begin a command; give the number of its process."""
        asked = {"name": name, "place": str(place), "log": str(Path(place) / f".{log}"), "plan": asdict(plan)}
        self._process.stdin.write(json.dumps(asked) + "\n")
        return int(self._answer())

    def wait_for_begin(self, place):
        """Wait until a command looks after signals."""
        until = time.monotonic() + PATIENCE_S
        while not Path(place, ".log.begun").exists() and time.monotonic() < until:
            time.sleep(0.005)

    def wait(self, pid, place, log="log"):
        """Wait for a command, and kill it if it takes too long."""
        self._process.stdin.write(f"{pid}\n")
        answer = self._answer()
        if answer is None:
            os.kill(pid, signal.SIGKILL)
            self._answer()
        said, error = (Path(place, f".{log}.{kind}").read_text(errors="replace") for kind in ("out", "err"))
        return Ended(None if answer is None else int(answer), said, error)

    def run(self, name, place, plan=Plan()):
        """Run a command to its end."""
        return self.wait(self.start(name, place, plan), place)

    def _answer(self, patience_s=PATIENCE_S):
        ready, *_ = select.select([self._process.stdout], [], [], patience_s)
        return self._process.stdout.readline().strip() if ready else None


def serve():
    """Fork for each command that is asked for, and wait for each number."""
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip().isdigit():
            _, status = os.waitpid(int(line), 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        asked = json.loads(line)
        pid = os.fork()
        if pid:
            print(pid, flush=True)
        else:
            _work(asked)


def _work(asked):
    os.setsid()
    for number, kind in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{asked['log']}.{kind}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.path.insert(0, asked["place"])
    status = 1
    try:
        with _signalled(Plan(**asked["plan"])):
            ended = run_here(JOBS[asked["name"]], Path(asked["place"]), False, Path(f"{asked['log']}.begun").touch)
        status = ended.status
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _signalled(plan):
    """Let the process send itself a signal when a thing is asked of a folder."""
    if not plan.number:
        return contextlib.nullcontext()
    return failing(plan.folder, None, plan.at, instead=lambda: os.kill(os.getpid(), plan.number))


def _load(place):
    """Run every command once, so that all that they load is there."""
    place.mkdir()
    from helpers.campaign.jobs import make_inputs

    make_inputs(place)
    sys.path.insert(0, str(place))
    import shutil

    for name, job in JOBS.items():
        if name in ("compare workers", "compare deep"):  # threads of others must not run where this forks
            continue
        run_here(job, place)
        if name == "refit":
            shutil.copytree(place / "model" / "one", place / "bundle")
    sys.path.remove(str(place))


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as _folder:
        _load(Path(_folder) / "place")
    serve()
