"""Whose fault an error is: what a part of the user's own did wrong, in which method, and on which line."""

import inspect
import linecache
import os
import reprlib
import sys
import sysconfig
import traceback
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from glomfeat.core.errors import UserError
from glomfeat.core.global_generators import seeded
from glomfeat.core.outliving import changed, checksums
from glomfeat.core.plugins import is_own
from glomfeat.core.words import number_of, printable

OURS = f"{Path(__file__).parents[1]}{os.sep}"
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
WRAPPERS = ("wrapper", "wrapped", "inner")  # names of functions that wrap methods, such as scikit-learn's
LONGEST = 300  # the longest text of an error that is shown, in characters
_LEARNT = []  # parts whose fit changed a tensor that outlives it, and the tensor, which knows test images from then on
_INSIDE = []  # parts that are being called, the innermost last
_NOTES = []  # in a worker process: the file that outlives it


class PartError(UserError, ValueError):
    """A part of the user's own raised, or gave something that it must not; the message says which, and where."""


class MisfitError(UserError, ValueError):
    """What a part gave does not fit.

    Parameters
    ----------
    text : str
        Begins with the method, or with what the part is, and ends with what to do.
    function : callable, optional
        Its definition is shown, if it is the user's.
    """

    def __init__(self, text, function=None):
        super().__init__(text)
        self.function = function

    def __reduce__(self):
        return MisfitError, (str(self),)  # functions need not travel


@contextmanager
def calling(kind, name, thing=None, own=None, seed=0, learns=False):
    """Call a part in a block: what goes wrong in it becomes a `PartError` if the part is the user's own.

    Ctrl-C and running out of memory stay what they are. What a part of the user's own draws from global generators does
    not depend on what was drawn before.

    Parameters
    ----------
    kind : str
        What the part is, for the message.
    name : str
    thing : callable, optional
        Its definition is shown if no line of the user's was running.
    own : bool, optional
        Whether it is the user's own; judged by the name if left out.
    seed : int
        Of the global generators, if it is the user's own.
    learns : bool
        Whether it is fitted in the block. It must then leave tensors as they are that were there before, because later
        fits would start from what it has learnt of images that they test.

    Raises
    ------
    PartError

    Examples
    --------
    >>> with calling("head", "mylab:lda"):
    ...     {}["x"]
    Traceback (most recent call last):
    ...
    glomfeat.core.part_errors.PartError: head mylab:lda: raised KeyError: 'x' ...
    """
    if not (is_own(name) if own is None else own):
        yield
        return
    try:
        with noted(kind, name), seeded(seed):
            before = checksums(thing) if learns else []
            yield
            if learns:
                _refuse_learnt(thing, changed(before))
    except (PartError, MemoryError):
        raise
    except UserError as error:
        said = str(error).removeprefix(f"{name} ")
        raise PartError(f"{kind} {name}: {said}{placed(error, getattr(error, 'function', None), thing)}") from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and not _NOTES:
            raise
        raise PartError(f"{kind} {name}: {told(frames_of(error), what_raised(error))}{placed(error, thing)}") from error


def _refuse_learnt(thing, tensor):
    """Refuse a part whose fit has changed a tensor that outlives it, now or earlier in this process."""
    if tensor is not None:
        _LEARNT.append((thing, tensor))
    for _, tensor in [pair for pair in _LEARNT if pair[0] is thing][-1:]:
        raise MisfitError(
            f"it changed a tensor of shape {tuple(tensor.shape)} that outlives the fit, so the next fold would start "
            "from what it learnt of its own test images: make all layers anew in each fit, or copy them there "
            "(copy.deepcopy)"
        )


@contextmanager
def noted(kind, name):
    """Call a part in a block: should it end its worker process, a note left behind says whose it was."""
    _INSIDE.append((kind, name))
    _note()
    try:
        yield
    finally:
        _INSIDE.pop()
        _note()


def rows_of(found, rows, method):
    """Check what a method of a part returned: a row of finite numbers for each row that it was given.

    Parameters
    ----------
    found : object
    rows : int
    method : callable

    Returns
    -------
    ndarray, shape (rows, width)

    Raises
    ------
    MisfitError

    Examples
    --------
    >>> rows_of([[1, 2], [3, 4]], 2, None).shape
    (2, 2)
    >>> rows_of([[1, 2], [3, 4]], 3, len)
    Traceback (most recent call last):
    ...
    glomfeat.core.part_errors.MisfitError: len returned 2 rows for 3: return one for each
    """
    name = getattr(method, "__name__", "it")
    try:
        values = np.asarray(found)
    except ValueError:
        raise MisfitError(f"{name} returned rows of several lengths: always return as many numbers", method) from None
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        shape = f" of shape {values.shape}" if values.ndim else ""
        raise MisfitError(f"{name} returned {shown(found)}{shape}: return an array of numbers, (rows, columns)", method)
    if len(values) != rows:
        raise MisfitError(f"{name} returned {number_of(len(values), 'row')} for {rows}: return one for each", method)
    if not np.isfinite(values).all():
        columns = np.flatnonzero(~np.isfinite(values).all(axis=0))[:5].tolist()
        count = int((~np.isfinite(values).all(axis=1)).sum())
        said = f"{name} gave NaN or infinity in {count} of {rows} rows, in columns {columns}"
        raise MisfitError(f"{said}: give a number for every row", method)
    return values


def shown(thing):
    """Show a thing in a message: itself if it is short, else what it is.

    Examples
    --------
    >>> shown(None), shown("0.5"), shown([1, 2])
    ('None', "'0.5'", 'a list')
    """
    return reprlib.repr(thing) if thing is None or isinstance(thing, str | int | float) else f"a {type(thing).__name__}"


def _note():
    """Tell the file that outlives this process whose part is being called."""
    for file in _NOTES:
        kind, name = _INSIDE[-1] if _INSIDE else ("", "")
        file.write(f"\npart {kind}\t{name}\n")
        file.flush()


def in_words(error):
    """Say in one line what an error says; for errors written for the user, without their class.

    Examples
    --------
    >>> in_words(ValueError("too few rows")), in_words(KeyboardInterrupt())
    ('ValueError: too few rows', 'KeyboardInterrupt')
    """
    try:
        text = printable(" ".join(str(error).split()))
    except Exception:  # raised by a class of the user's
        text = ""
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def what_raised(error):
    """Say that an error was raised, for `told`."""
    return f"raised {in_words(error)}"


def frames_of(error):
    """List the calls that an error came through, for `told` and `at`."""
    return [(one.filename, one.lineno, one.name) for one in traceback.extract_tb(error.__traceback__)]


def placed(error, *things):
    """Say where an error was raised, as `at` does, or else where the first of the user's things is defined."""
    return at(frames_of(error)) or next(filter(None, map(defined, things)), "")


def told(frames, what):
    """Say what was done, after the name of the method that was called.

    Parameters
    ----------
    frames : list of (str, int, str)
        File, line and function of each call, the outermost first.
    what : str

    Examples
    --------
    >>> told([("mine.py", 3, "fit"), ("mine.py", 9, "helper")], "raised ValueError")
    'fit raised ValueError'
    """
    own = [name for file, _, name in frames if _is_the_users(file)]
    ours = [place for place, (file, _, _) in enumerate(frames) if _is_ours(file)]
    after = [name for _, _, name in frames[ours[-1] + 1 if ours else 0 :] if name not in WRAPPERS]
    first = (own or after or [""])[0]
    return f"{first} {what}" if first.isidentifier() else what


def at(frames):
    """Say where it was done: the user's own innermost line, in brackets; empty if there is none.

    Parameters
    ----------
    frames
        As for `told`.

    Examples
    --------
    >>> at([("mine.py", 3, "fit"), (OURS + "core/cache.py", 9, "shard")])
    ' (mine.py:3)'
    """
    own = [(file, line) for file, line, _ in frames if _is_the_users(file)]
    return _shown(*own[-1]) if own else ""


def defined(thing):
    """Say where a function or method of the user's own is defined, as `at` does."""
    code = getattr(inspect.unwrap(getattr(thing, "__func__", thing)), "__code__", None) if thing is not None else None
    if code is None or not _is_the_users(code.co_filename):
        return ""
    line = code.co_firstlineno
    while linecache.getline(code.co_filename, line).strip().startswith("@"):
        line += 1
    return _shown(code.co_filename, line)


def _shown(file, line):
    text, path = linecache.getline(file, line).strip(), Path(file)
    # messages do not reveal where the user's folders lie
    name = str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name
    return f" ({name}:{line}: {text})" if text else f" ({name}:{line})"


def _is_ours(file):
    return file.startswith(OURS) or file == contextmanager.__code__.co_filename


def _is_the_users(file):
    return not (_is_ours(file) or file.startswith((*LIBRARIES, "<frozen", "<__array")) or file == sys.executable)
