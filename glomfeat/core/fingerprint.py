"""Digests of functions and estimators that are the same in every process: of code and settings, never addresses.

Pickles would not do: they hold a notebook's function by its name alone, or together with the number of the cell that it
was written in.
"""

import dis
import functools
import hashlib
import inspect
import re
import sys
from collections import defaultdict, namedtuple
from io import BytesIO
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

import joblib
import numpy as np
from cloudpickle import CloudPickler

from glomfeat.core.errors import UserError
from glomfeat.core.own_modules import digest_of_module, every_code, files_needed, is_own_module

FIELD = type(namedtuple("One", "field").field)  # how a named tuple finds a field
PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), range, slice, PurePath, np.dtype, FIELD)
ARRAYS = (np.ndarray, np.memmap, np.matrix, np.recarray)  # all that these hold is their numbers, dtype and shape
OF_CLASSES = {
    *("__dict__", "__doc__", "__module__", "__weakref__", "__firstlineno__", "__static_attributes__", "_abc_impl"),
    "__slotnames__",  # set by the first pickle or copy
}


class UnstableError(UserError, ValueError):
    """It cannot be told whether something is the same in another process; the message says what."""


def digest_of_thing(thing, unfitted=()):
    """A digest of what a function, class, estimator or plain value does, as far as it depends on the user's own code.

    Functions count by their bytecode, their defaults, their closures, their attributes, the global names that they use
    and the files of the user's own modules that they import; comments and places change nothing. What is installed
    counts by its name, an estimator by its class, its parameters and what it has learnt.

    Parameters
    ----------
    thing : object
    unfitted : sequence of estimators
        Those in it that are cloned before they are used: only their class and their parameters count.

    Returns
    -------
    str
        Twelve hexadecimal digits.

    Raises
    ------
    UnstableError
        It holds something that cannot be compared across processes, such as an open file or a random generator.

    Examples
    --------
    >>> digest_of_thing(lambda x: x + 1) == digest_of_thing(lambda x: x + 1)  # somewhere else
    True
    >>> digest_of_thing(lambda x: x + 1) == digest_of_thing(lambda x: x + 2)
    False
    """
    found = hashlib.sha256()
    try:
        for part in _parts(thing, {}, {id(estimator) for estimator in unfitted}):
            found.update(f"{len(part)} {part}".encode())
    except RecursionError:
        raise UnstableError(f"a {type(thing).__name__} that holds itself") from None
    return found.hexdigest()[:12]


def digest_of_code(factory):
    """A digest of a function that a name stands for, or of its whole file where `digest_of_thing` cannot tell.

    Parameters
    ----------
    factory : callable
        At the top of a module.

    Returns
    -------
    str

    Examples
    --------
    >>> import math
    >>> digest_of_code(math.sqrt) == digest_of_code(math.cos)
    False
    """
    try:
        return digest_of_thing(factory)
    except UnstableError:
        return digest_of_thing(sys.modules[factory.__module__])


def _parts(thing, seen, unfitted):
    """Yield text that stands for a thing, piece by piece; `seen` holds the functions and classes met before."""
    kind = type(thing)
    yield kind.__qualname__
    if isinstance(thing, np.ndarray) and kind not in ARRAYS:
        raise UnstableError(_a(thing))  # a mask, a unit
    if isinstance(thing, np.ndarray | np.generic) and thing.dtype != object:
        rows = np.ascontiguousarray(thing)
        rows = rows.ravel().reshape(rows.shape)  # the strides of a single row may be any, and joblib hashes them
        yield f"{thing.dtype.str} {thing.shape} {joblib.hash(rows)}"
    elif kind in PLAIN or isinstance(thing, PurePath | np.dtype):
        yield repr(thing)
    elif isinstance(thing, ModuleType):
        yield _of_module(thing)
    elif isinstance(thing, np.ufunc):
        yield _of_ufunc(thing)
    elif isinstance(thing, re.Pattern):
        yield f"{thing.pattern} {thing.flags}"
    elif kind.__module__.partition(".")[0] == "pandas":
        yield joblib.hash(thing)
    elif isinstance(thing, FunctionType | type) and id(thing) in seen:
        yield str(seen[id(thing)])
    elif _is_installed(thing):
        yield f"{thing.__module__}.{thing.__qualname__}"
    else:
        if isinstance(thing, FunctionType | type):
            seen[id(thing)] = len(seen)
        for part in _inside(thing, unfitted):
            yield from _parts(part, seen, unfitted)


def _inside(thing, unfitted):
    """What a thing is made of."""
    if isinstance(thing, list | tuple):
        return [*thing, *_beyond(thing)]
    if isinstance(thing, dict):
        return [*(part for item in thing.items() for part in item), *_beyond(thing)]
    if isinstance(thing, set | frozenset):
        return [*sorted(map(digest_of_thing, thing)), *_beyond(thing)]
    if isinstance(thing, np.ndarray | np.generic):
        return thing.tolist()
    if isinstance(thing, CodeType):
        return [thing.co_code, thing.co_consts, thing.co_names, thing.co_varnames[: thing.co_argcount]]
    if isinstance(thing, FunctionType):
        return _of_function(thing)
    if isinstance(thing, MethodType | staticmethod | classmethod):
        return [thing.__func__, getattr(thing, "__self__", None)]
    if isinstance(thing, property):
        return [thing.fget, thing.fset]
    if isinstance(thing, functools.partial):
        return [thing.func, thing.args, thing.keywords, *_beyond(thing)]
    if isinstance(thing, BuiltinFunctionType):
        return [thing.__name__, thing.__self__]
    if isinstance(thing, type):
        own = {name: part for name, part in vars(thing).items() if name not in OF_CLASSES}
        return [thing.__bases__, own, *([] if _is_installed(type(thing)) else [type(thing)])]
    if hasattr(thing, "get_params"):
        settings = thing.get_params(deep=False)
        learnt = [] if id(thing) in unfitted else _learnt(thing, settings)
        return [type(thing), dict(sorted(settings.items())), *learnt]
    if _is_plain_object(thing):
        value = [base(thing) for base in (int, float, complex, str, bytes) if isinstance(thing, base)]
        return [type(thing), dict(sorted(vars(thing).items())), *value]
    raise UnstableError(_a(thing))


def _a(thing):
    return f"a {type(thing).__module__}.{type(thing).__qualname__}".replace("a builtins.", "a ")


# What a digest of an older version has not is added only where there is any, so that other digests stay as they are.


def _of_function(function):
    """What a function is made of."""
    code, names = function.__code__, function.__globals__
    used = {name: names[name] for name in _global_names(code) if name in names}
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    modules = [value.__name__ for value in used.values() if isinstance(value, ModuleType)]
    files = files_needed(code, names, modules)
    more = [files] if files else []
    if code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS) == inspect.CO_VARKEYWORDS:
        more.append("**")  # otherwise equal to the code of one with *
    set_by_itself = {step.argval for step in dis.get_instructions(code) if step.opname == "STORE_ATTR"}
    beside = {name: value for name, value in vars(function).items() if name not in set_by_itself}
    own = {name: value for name, value in beside.items() if not any(value is cell for cell in cells)}
    if own:
        more.append(dict(sorted(own.items())))
    return [code, function.__defaults__, function.__kwdefaults__, cells, used, *more]


def _beyond(thing):
    """What an object of a class derived from a container, or a partial function, has beside its items."""
    kind, more = type(thing), []
    if not _is_installed(kind):
        more.append(kind)
    if isinstance(thing, defaultdict):
        more.append(thing.default_factory)
    if getattr(thing, "__dict__", None):
        more.append(dict(sorted(vars(thing).items())))
    return more


def _learnt(estimator, settings):
    """What an estimator holds beside its settings and what its constructor sets."""
    beside = {name: value for name, value in getattr(estimator, "__dict__", {}).items() if name not in settings}
    try:
        new, other = (vars(type(estimator)(**settings)) if beside else {} for _ in range(2))
    except Exception:  # it cannot be told what the constructor sets
        new, other = {}, {}
    by_chance = {name for name in new if _is_by_chance(new[name], other.get(name))}
    learnt = {
        name: value
        for name, value in beside.items()
        if name not in new or not (_equal(value, new[name]) or (name in by_chance and type(value) is type(new[name])))
    }
    return [dict(sorted(learnt.items()))] if learnt else []


def _is_by_chance(one, other):
    """Whether values of two new estimators are numbers or texts that differ, such as times; weights can be learnt."""
    return isinstance(one, PLAIN) and not _equal(one, other)


def _equal(one, other):
    """Whether two things of one process are the same, as far as it can be told."""
    try:
        return one is other or digest_of_thing(one) == digest_of_thing(other)
    except UnstableError:
        pass
    try:
        return _pickled(one) == _pickled(other)
    except Exception:  # such as a lock
        return type(one) is type(other)


def _pickled(thing):
    made = BytesIO()
    _Pickler(made).dump(thing)
    return made.getvalue()


class _Pickler(CloudPickler):
    """Writes tensors without the addresses that torch writes."""

    def reducer_override(self, obj):
        torch = sys.modules.get("torch")
        if torch and isinstance(obj, torch.Tensor) and obj.layout is torch.strided:
            numbers = obj.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
            return tuple, ((str(obj.dtype), obj.shape, str(obj.device), obj.requires_grad, numbers),)
        return super().reducer_override(obj)


def _of_ufunc(ufunc):
    """The name of a ufunc of an installed package; one that is made of the user's function holds code unseen."""
    name = ufunc.__name__
    modules = [module for key, module in [*sys.modules.items()] if module is not None and not is_own_module(key)]
    if any(vars(module).get(name) is ufunc for module in modules):
        return name
    raise UnstableError(f"{_a(ufunc)}, {name}")


def _global_names(code):
    """The global names that code uses, including those of the functions and classes in it."""
    steps = [step for part in every_code(code) for step in dis.get_instructions(part)]
    names = {step.argval for step in steps if step.opname == "LOAD_GLOBAL"}
    # the body of a class asks its own names first, among them those that Python gives it
    of_classes = {step.argval for step in steps if step.opname in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")}
    return sorted(names | {name for name in of_classes if not name.startswith("__")})


def _of_module(module):
    """A module's name; for the user's own modules, also the bytes of its file and of those that it needs."""
    if is_own_module(module.__name__) and getattr(module, "__file__", None):
        return f"{module.__name__} {digest_of_module(module)}"
    return module.__name__


def _is_installed(thing):
    """Whether its name identifies a thing: it can be found there, and its module is not the user's own."""
    name, path = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
    if not isinstance(name, str) or not isinstance(path, str) or not path or is_own_module(name):
        return False
    found = sys.modules.get(name)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found is thing


def _is_plain_object(thing):
    """Whether an object is just its class and its attributes, with nothing special for pickle."""
    kind = type(thing)
    told = kind.__reduce_ex__ is not object.__reduce_ex__ or kind.__reduce__ is not object.__reduce__
    return hasattr(thing, "__dict__") and not told and not hasattr(kind, "__slots__") and kind.__module__ != "_io"
