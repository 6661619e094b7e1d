"""Speed and memory of this machine: each part of the work beside the way a competent user would do it today."""

from dataclasses import dataclass
from typing import Literal

from glomfeat.core.errors import InputError
from studies._cli import DONE, INCOMPLETE, at_least, open_console, parse_options

Part = Literal["decode", "extraction", "reducers", "harness", "memory", "statistics", "backends"]


@dataclass(frozen=True)
class Bench:
    """Measure how fast glomfeat is and how much memory it takes, next to its peers, on generated data.

    The data are written to a folder of their own in the system's temporary folder (TMPDIR), and removed at the end.
    """

    full: bool = False
    """Use the sizes of a real study. This takes hours, and tens of gigabytes for generated data. Without it, the
    command takes about five minutes."""
    quick: bool = False
    """Use sizes that take seconds, to see that everything works. The figures then mean nothing."""
    only: tuple[Part, ...] = ("decode", "extraction", "reducers", "harness", "memory", "statistics")
    """Parts to measure. backends is measured only if you name it: trials in as many processes as --jobs, on this
    machine and with Dask and Ray if they are installed, compared with a single process."""
    repeats: int = 3
    """How often each side is measured, at most. What takes long is measured less often."""
    jobs: int | None = None
    """Processes and threads of glomfeat, and workers of the peers. Default: one for each core, or eight with
    --minutes."""
    device: str = "auto"
    """The device that computes: auto, cpu, cuda, cuda:1, mps."""
    minutes: float | None = None
    """Only measure features and training on --device, and take at most this many minutes. Each is compared with a plain
    loop and with the network's passes or steps alone."""
    seed: int = 0
    """The seed that all others are derived from."""
    memory: str | None = None
    """Memory for all processes together, such as 4GB. Default: 80 % of what the process may use. A peer that would need
    more is skipped."""
    out: str = "runs/bench"
    """Output folder for bench.json and bench.md, or card.json and card.md with --minutes. An earlier result is
    replaced."""

    def check(self):
        """Refuse options that do not go together."""
        if self.full and self.quick:
            raise InputError("--full and --quick are two sizes: give one of them")
        if not self.only:
            raise InputError("--only is empty: name parts to measure, or leave it out")
        if self.minutes is not None and not 0 < self.minutes < 1e4:
            raise InputError(f"--minutes is {self.minutes:g}: a number above 0, such as 8")
        at_least(self, repeats=1, jobs=1)


def main(arguments):
    """Measure what the command line asks for. Exit status: 0 done, 1 something could not be measured."""
    options = parse_options(Bench, arguments, "python -m studies.bench")
    options.check()

    from rich.markdown import Markdown

    from studies.bench.run import bench, to_markdown

    report = bench(options, " ".join(["python -m studies.bench", *arguments]))
    console = open_console()
    console.print(Markdown(to_markdown(report)))
    console.out(f"tables: {options.out}")
    return INCOMPLETE if any(row["status"] == "failed" for row in report["rows"]) else DONE
