"""Calls in a worker process whose end can be explained: what ended it, in whose part, on which line."""

import faulthandler
import linecache
import math
import os
import pickle
import re
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from cloudpickle import CloudPickler
from joblib.externals.loky import process_executor
from joblib.externals.loky.backend.reduction import dumps

from glomfeat.core.part_errors import _NOTES, at, told

# signals sent by others, above all by the system when memory is short; any other end was the process's own doing
FROM_OUTSIDE = {None, *(-number for number in (signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGKILL", 9)))}
_LIMIT = {"seconds": None, "counting": False}
# loky would end a process, while giving it a call, that holds more than at first, as one does that has loaded torch
process_executor._MAX_MEMORY_LEAK_SIZE = math.inf


@dataclass(frozen=True)
class NotSent:
    """Stands in for the result of a call that could not be sent to a worker process.

    Attributes
    ----------
    why : str
    """

    why: str


def pack(function, item):
    """Pack a call into bytes, or into a `NotSent`."""
    sources = {}

    def with_its_file(code):
        # functions of a notebook, and nested ones, are sent as code, which has to remember where it comes from
        make, parts = CloudPickler.dispatch_table[CodeType](code)
        file = code.co_filename
        if file in linecache.cache and not Path(file).exists():
            sources[file] = linecache.getlines(file)
        return make, tuple(file if part == "<dynamic-code>" else part for part in parts)

    try:
        return dumps((dumps((function, item), reducers={CodeType: with_its_file}), sources))
    except Exception as error:
        return NotSent(f"{type(error).__name__}: {error}")


def watch(packed, path, seconds):
    """Make a call in a worker process, noting in a file whose part it is in, and how it ends if it ends badly.

    Parameters
    ----------
    packed : bytes
        From `pack`.
    path : path-like
        The file to note it in.
    seconds : float or None
        How long each block of `limited` may take.

    Returns
    -------
    object
        What the function returned, or `NotSent`.
    """
    with Path(path).open("w") as file:
        end = os._exit

        def ended(status):
            faulthandler.dump_traceback(file, all_threads=False)
            end(status)

        faulthandler.enable(file)
        _NOTES.append(file)
        _LIMIT["seconds"], os._exit = seconds, ended
        try:
            try:
                call, sources = pickle.loads(packed)
                linecache.cache.update({name: (0, None, lines, name) for name, lines in sources.items()})
                function, item = pickle.loads(call)
            except Exception as error:
                return NotSent(f"{type(error).__name__}: {error}")
            return function(item)
        finally:
            os._exit, _LIMIT["seconds"] = end, None
            _NOTES.clear()
            faulthandler.disable()


@contextmanager
def limited():
    """A block that may take as long as `watch` was told, else its process is ended; blocks within it do not count."""
    if _LIMIT["seconds"] is None or _LIMIT["counting"]:
        yield
        return
    # a thread in C, which no loop can hold up
    faulthandler.dump_traceback_later(_LIMIT["seconds"], exit=True, file=_NOTES[0])
    _LIMIT["counting"] = True
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        _LIMIT["counting"] = False


def how_it_ended(path, code, seconds):
    """Say why a worker process is gone, if that was its own doing.

    Parameters
    ----------
    path : path-like
        The file of `watch`.
    code : int or None
        Its exit status; negative for a signal.
    seconds : float or None
        As for `watch`.

    Returns
    -------
    str
        Empty if something else ended it.
    """
    file = Path(path)
    text = file.read_text(errors="replace") if file.exists() else ""
    if "Timeout (" in text:
        what = f"took longer than --timeout {seconds:g} s"
    elif code in FROM_OUTSIDE:
        return ""
    else:
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        what = f"ended its process ({how})"
    frames, (kind, name) = _frames(text), _part(text)
    return f"{kind} {name}: {told(frames, what)}{at(frames)}" if kind else f"it {what}{at(frames)}"


def _part(text):
    found = re.findall(r"^part (.*)\t(.*)$", text, re.MULTILINE)
    return found[-1] if found else ("", "")


def _frames(text):
    """The calls of the thread that did the work, outermost first."""
    blocks = re.split(r"^(?:Current t|T)hread .*|^Stack .*", text, flags=re.MULTILINE)
    stacks = [re.findall(r'^  File "(.*)", line (\d+) in (.*)$', block, re.MULTILINE) for block in blocks]
    mine = [stack for stack in stacks if any(file == __file__ and name == watch.__name__ for file, _, name in stack)]
    stack = mine[0] if mine else max(stacks, key=len)
    frames = [(file, int(line), name) for file, line, name in reversed(stack)]
    begun = [place for place, (file, _, name) in enumerate(frames) if file == __file__ and name == watch.__name__]
    return frames[begun[-1] + 1 :] if begun else frames
