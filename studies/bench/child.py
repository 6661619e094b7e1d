"""The process in which `studies.bench` measures: it does what standard input asks, and leaves answers in files.

What is measured is a generator ``side(folder, **arguments)``: up to its first ``yield`` it prepares, from there to its
second one it works, and what it then gives, a function of an array or a dict of arrays, is kept to see how far sides
agree.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from glomfeat.core.plugins import resolve


def run(function, folder, arguments):
    """Prepare and do a piece of work; the seconds of the work alone as ``work_s``."""
    side = resolve(function, {}, "side")(folder, **arguments)
    next(side)
    start = time.perf_counter()
    kept = next(side)
    work_s = time.perf_counter() - start
    if kept is not None:
        rows = kept()
        np.savez(folder / "kept.npz", **(rows if isinstance(rows, dict) else {"rows": rows}))
    next(side, None)  # what was started for it ends
    return {"work_s": work_s}


def main():
    """Do each of a JSON list of ``function``, ``folder`` and ``arguments``, one after the other."""
    for job in json.load(sys.stdin):
        folder = Path(job["folder"])
        try:
            answer = run(job["function"], folder, job["arguments"])
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        (folder / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
