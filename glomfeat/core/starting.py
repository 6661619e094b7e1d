"""Start worker processes that Ctrl-C does not reach."""

import multiprocessing.resource_tracker
import signal
from contextlib import contextmanager

import joblib
from joblib.externals.loky.backend import resource_tracker


@contextmanager
def deaf_to_ctrl_c():
    """Start processes in a block that Ctrl-C does not reach.

    A terminal sends it to all processes at once. The command itself ends its workers; a worker that has just begun to
    start would print a traceback first. In the block itself Ctrl-C waits until its end.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    for tracker in (multiprocessing.resource_tracker, resource_tracker):
        tracker.ensure_running()  # which lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def spread(calls, jobs):
    """Make short calls in processes that joblib keeps, without a look at memory; they give their results in order.

    Parameters
    ----------
    calls : iterable
        From ``joblib.delayed``.
    jobs : int
        With 1 the calls are made in this process.

    Returns
    -------
    list

    Examples
    --------
    >>> spread((joblib.delayed(abs)(number) for number in (-1, 2)), jobs=1)
    [1, 2]
    """
    with deaf_to_ctrl_c():
        found = joblib.Parallel(jobs, return_as="generator")(calls)  # starts them; the results come outside the block
    return list(found)
