"""The process in which `studies.bench` measures one side: it does what standard input asks, in the current folder.

What is measured is a call, or a generator: up to its first ``yield`` that prepares, and up to each further one it does
its work once. Of what it then gives, arrays and dicts are kept, which show how far sides agree.
"""

import inspect
import pickle
import sys
import time

import numpy as np


def timed(work):
    """Do a piece of work; its seconds, and what it gave."""
    start = time.perf_counter()
    kept = side = work()
    if inspect.isgenerator(side):
        next(side)
        start = time.perf_counter()
        kept = next(side)
    work_s = time.perf_counter() - start
    if inspect.isgenerator(side):
        side.close()  # what was started for it ends
    return work_s, kept if isinstance(kept, np.ndarray | dict) else None


if __name__ == "__main__":
    work, answer = pickle.load(sys.stdin.buffer)
    try:
        found = timed(work)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    answer.write_bytes(pickle.dumps(found))
