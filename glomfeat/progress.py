"""Progress with an estimate, for whoever waits: a bar on a terminal, plain lines in a log."""

import sys
import time

QUIET_S = 10.0


def track(items, what, total, stream=None):
    """Iterate over `items` and show how far it is and how long it will still take.

    Parameters
    ----------
    items : iterable
    what : str
        What is being done, in a word or two.
    total : int
        How many items there will be.
    stream : text file, optional
        Standard error by default. Where it is no terminal, a line is written every 10 seconds.

    Yields
    ------
    object
        The items.

    Examples
    --------
    >>> list(track([1, 2], "counting", total=2))
    [1, 2]
    """
    stream = stream or sys.stderr
    if stream.isatty():
        yield from _bar(items, what, total, stream)
        return
    start = said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said >= QUIET_S and done < total:
            left = (now - start) / done * (total - done)
            print(f"{what}: {done} of {total}, about {left:.0f} s left", file=stream, flush=True)
            said = now


def _bar(items, what, total, stream):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        yield from progress.track(items, total=total, description=what)
