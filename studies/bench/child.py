"""The process in which `studies.bench` measures one side: it does what standard input asks.

What is measured is a generator ``side(folder, **arguments)``: up to its first ``yield`` it prepares, from there to its
second one it works. What it then gives, an array or a dict of numbers, is kept to see how far sides agree.
"""

import pickle
import sys
import time


def run(function, folder, arguments):
    """Prepare and do a piece of work; the seconds of the work alone, and what it gave."""
    side = function(folder, **arguments)
    next(side)
    start = time.perf_counter()
    kept = next(side)
    work_s = time.perf_counter() - start
    next(side, None)  # what was started for it ends
    return work_s, kept


def main():
    """Do the pickled function on a folder with its arguments; the answer, or why there is none, lies there."""
    function, folder, arguments = pickle.load(sys.stdin.buffer)
    try:
        answer = run(function, folder, arguments)
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    (folder / "answer.pickle").write_bytes(pickle.dumps(answer))


if __name__ == "__main__":
    main()
