"""Speed and memory of this machine: each part of the work beside the way a competent user would do it today."""

from dataclasses import dataclass
from typing import Literal

from glomfeat.core.errors import InputError
from studies._cli import DONE, INCOMPLETE, open_console, parse_options

Part = Literal["decode", "extraction", "reducers", "harness", "memory", "statistics", "backends"]


@dataclass(frozen=True)
class Bench:
    """Measure decoding, extraction, reducers, harness and memory beside their peers, on generated data.

    The data lie in a folder of their own where the system keeps what is temporary (TMPDIR), and are removed in the end.
    """

    full: bool = False
    """Sizes of a real study: hours, and tens of gigabytes of generated data. Without it, about five minutes."""
    quick: bool = False
    """Sizes of seconds, to see that it works; the figures mean nothing."""
    only: tuple[Part, ...] = ("decode", "extraction", "reducers", "harness", "memory", "statistics")
    """Parts to measure. backends, only if asked for: trials on as many processes as --jobs, here and by Dask and Ray
    where they are installed, beside one process."""
    repeats: int = 3
    """How often each side is measured at the most; what takes long is measured less often."""
    jobs: int | None = None
    """Processes and threads of ours and workers of the peers; as many as there are cores if left out. With --minutes,
    of ours alone, and eight."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    minutes: float | None = None
    """Measure features and training of --device alone, within so many minutes, each beside a plain loop and beside the
    network's passes alone."""
    seed: int = 0
    """The seed that all others are derived from."""
    memory: str | None = None
    """Budget such as 4GB; 80 % of what the process may use if left out. A peer that would need more is skipped."""
    out: str = "runs/bench"
    """Output folder: bench.json and bench.md, with --minutes card.json and card.md; an earlier result is replaced."""

    def check(self):
        """Refuse options that do not go together.

        Raises
        ------
        InputError
            Which option, and what is allowed.
        """
        if self.full and self.quick:
            raise InputError("--full and --quick are two sizes: give one of them")
        if not self.only:
            raise InputError("--only is empty: name parts to measure, or leave it out")
        if self.minutes is not None and not 0 < self.minutes < 1e4:
            raise InputError(f"--minutes is {self.minutes:g}: a number above 0, such as 8")
        for name in ("repeats", "jobs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name} is {value}: at least 1")


def main(arguments):
    """Measure what the command line asks for.

    Returns
    -------
    int
        Exit status: 0 done, 1 something could not be measured.
    """
    options = parse_options(Bench, arguments, "python -m studies.bench")
    options.check()

    from rich.markdown import Markdown

    from studies.bench.run import bench, to_markdown

    report = bench(options, " ".join(["python -m studies.bench", *arguments]))
    console = open_console()
    console.print(Markdown(to_markdown(report)))
    console.out(f"tables: {options.out}")
    return INCOMPLETE if any(row["status"] == "failed" for row in report["rows"]) else DONE
