"""Speed and memory of this machine: each part of the work beside the way a competent user would do it today."""

from dataclasses import dataclass
from typing import Literal

from glomfeat.core.errors import InputError
from studies._cli import DONE, INCOMPLETE, open_console, parse_options

Part = Literal["decode", "extraction", "reducers", "harness", "training", "memory", "backends"]


@dataclass(frozen=True)
class Bench:
    """Measure decoding, extraction, reducers, harness, training and memory beside their peers, on generated data."""

    full: bool = False
    """Sizes of a real study: hours, and tens of gigabytes in the scratch folder. Without it, about five minutes."""
    quick: bool = False
    """Sizes of seconds, to see that it works; the figures mean nothing."""
    only: tuple[Part, ...] = ("decode", "extraction", "reducers", "harness", "training", "memory")
    """Parts to measure. backends, only if asked for: trials on as many processes as --jobs, here and by Dask and Ray
    where they are installed, beside one process."""
    widths: tuple[int, ...] = ()
    """Of the matrices for reducers, only those with so many columns; all if left out."""
    repeats: int = 3
    """How often each side is measured at the most; what takes long is measured less often."""
    jobs: int | None = None
    """Processes and threads of ours and workers of the peers; as many as there are cores if left out."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    seed: int = 0
    """Root of every seed."""
    memory: str | None = None
    """Budget such as 4GB; 80 % of what the process may use if left out. A peer that would need more is skipped."""
    out: str = "runs/bench"
    """Output folder: bench.json, bench.md and study.yaml; an earlier result in it is replaced."""
    scratch: str | None = None
    """Folder in which the data are generated, in a folder of its own that is removed in the end; the system's if left
    out."""

    def check(self):
        """Refuse options that do not go together.

        Raises
        ------
        InputError
            Which option, and what is allowed.
        """
        from pathlib import Path

        if self.full and self.quick:
            raise InputError("--full and --quick are two sizes: give one of them")
        if not self.only or len(set(self.only)) < len(self.only):
            raise InputError(f"--only is {' '.join(self.only) or 'empty'}: give each part once")
        for name in ("repeats", "jobs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name} is {value}: at least 1")
        if self.scratch and not Path(self.scratch).expanduser().is_dir():
            raise InputError(f"--scratch {self.scratch}: there is no such folder, make it or name another one")


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

    from studies.bench.run import bench
    from studies.bench.table import to_markdown

    report = bench(options, " ".join(["python -m studies.bench", *arguments]))
    console = open_console()
    console.print(Markdown(to_markdown(report)))
    console.out(f"tables: {options.out}")
    return INCOMPLETE if any(row["status"] == "failed" for row in report["rows"]) else DONE
