"""The process in which `studies.bench` measures one side: it does the work given on standard input, in this folder.

The work is a function, or a generator that prepares up to its first ``yield`` and does its work once up to each further
one. If the result is an array or a dict, it is kept, to see how far the sides agree.
"""

import inspect
import pickle
import sys
import time

import numpy as np


def timed(work):
    """Do a piece of work; return its seconds and its result."""
    start = time.perf_counter()
    kept = side = work()
    if inspect.isgenerator(side):
        next(side)
        start = time.perf_counter()
        kept = next(side)
    work_s = time.perf_counter() - start
    if inspect.isgenerator(side):
        side.close()  # ends what the generator has started
    return work_s, kept if isinstance(kept, np.ndarray | dict) else None


if __name__ == "__main__":
    work, answer = pickle.load(sys.stdin.buffer)
    try:
        found = timed(work)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    answer.write_bytes(pickle.dumps(found))
