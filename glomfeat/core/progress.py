"""Progress with an estimate of the time left: a bar on a terminal or in a notebook, plain lines in a log."""

import contextlib
import sys
import threading
import time
from html import escape

QUIET_S = 10.0
REDRAW_S = 0.5
PATIENCE_S, LOOK_S = 30.0, 1.0
FEW = 0.1  # of all items, before which no time is estimated


@contextlib.contextmanager
def waiting_for(what):
    """Say on one line of standard error what a block waits for, once it has taken 30 seconds.

    Parameters
    ----------
    what : callable
        Called without arguments every second after that; returns the line, which is written whenever it has changed, or
        nothing.

    Yields
    ------
    callable
        To be called as something arrives; the 30 seconds then start again.

    Examples
    --------
    >>> with waiting_for(lambda: "waiting for the impossible"):
    ...     pass
    """
    over, began = threading.Event(), [time.monotonic()]

    def watch():
        said, of = "", began[0]
        while not over.wait(min(LOOK_S, PATIENCE_S)):
            if began[0] != of:
                said, of = "", began[0]
            line = what() if time.monotonic() - of >= PATIENCE_S else ""
            if line and line != said and not over.is_set():
                print(line, file=sys.stderr, flush=True)
                said = line

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: began.__setitem__(0, time.monotonic())
    finally:
        over.set()
        watcher.join(LOOK_S)  # finding out what is waited for may itself have to wait


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
        Standard error by default, and in a notebook a bar below the cell. If it is no terminal, a line is written every
        10 seconds, and one when an item takes longer than 30.

    Yields
    ------
    object
        The items.

    Examples
    --------
    >>> list(track([1, 2], "counting", total=2))
    [1, 2]
    """
    if stream is None and _in_notebook():
        yield from _notebook_bar(items, what, total)
        return
    stream = stream or sys.stderr
    if stream.isatty():
        yield from _bar(items, what, total, stream)
        return
    start, done = time.monotonic(), 0
    said = start
    with waiting_for(lambda: f"{what}: {done} of {total}, waiting for the next") as arrived:
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now - said >= QUIET_S and done < total:
                print(_line(what, done, total, now - start), file=stream, flush=True)
                said = now
            arrived()


def _line(what, done, total, taken_s):
    line = f"{what}: {done} of {total}"
    # the first of many, which also starts workers and imports, says little about the others
    return line if done < FEW * total else f"{line}, about {taken_s / done * (total - done):.0f} s left"


def _in_notebook():
    """Whether this is a Jupyter kernel, which has loaded IPython already."""
    find = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return find is not None and getattr(find(), "kernel", None) is not None


def _notebook_bar(items, what, total):
    """A bar of plain HTML, because rich's needs ipywidgets there; it goes when the work is done."""
    from IPython.display import display

    start, drawn, shown = time.monotonic(), 0.0, None
    try:
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now - drawn >= REDRAW_S and done < total:
                line = _line(what, done, total, now - start)
                bar = f"<progress value='{done}' max='{total}'></progress> {escape(line)}"
                drawing = {"text/html": bar, "text/plain": line}
                if shown is None:
                    shown = display(drawing, raw=True, display_id=True)
                else:
                    shown.update(drawing, raw=True)
                drawn = now
    finally:
        if shown is not None:
            shown.update({"text/html": "", "text/plain": ""}, raw=True)


def _bar(items, what, total, stream):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        yield from progress.track(items, total=total, description=what)
