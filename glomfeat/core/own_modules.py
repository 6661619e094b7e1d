"""The user's own modules: which they are, and what else of the user's they import. Nothing is imported to find out."""

import dis
import functools
import hashlib
import importlib.util
import sys
import sysconfig
import warnings
from importlib.machinery import PathFinder
from itertools import accumulate
from pathlib import Path
from types import CodeType

STDLIB = sysconfig.get_path("stdlib")


def is_own_module(name):
    """Whether a module is the user's own: neither installed, nor Python's, nor glomfeat's.

    Parameters
    ----------
    name : str
        One that has not been imported counts as the user's.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_own_module("mylab"), is_own_module("sys"), is_own_module("glomfeat.core")
    (True, False, False)
    """
    if name.partition(".")[0] == "glomfeat":
        return False
    path = getattr(sys.modules.get(name), "__file__", None)
    if path is None:
        return name == "__main__" or name not in sys.modules
    return _is_own_place(path)


def digest_of_module(module):
    """A digest of the file of a module of the user's own, and of the files that it needs.

    Parameters
    ----------
    module : module
        With a file.

    Returns
    -------
    str
    """
    content = _content(module.__file__, getattr(module, "__loader__", None))
    beside = files_needed(_compiled(content), vars(module))
    beside.pop(module.__name__, None)  # modules may import one another
    return " ".join([hashlib.sha256(content).hexdigest(), *(f"{name} {digest}" for name, digest in beside.items())])


def files_needed(code, names, modules=()):
    """Digests of the files of all modules of the user's own that code needs, directly or through one another.

    Files count whole. Left out are modules that cannot be found, or that are named only by a text, as in
    ``importlib.import_module("mylab")``.

    Parameters
    ----------
    code : types.CodeType
        Of a function, or of a module.
    names : dict of str to object
        The global names of the code's module, which say the package that relative imports start from.
    modules : iterable of str
        Names of further modules that the code uses. Their own files do not count, but those of their submodules do.

    Returns
    -------
    dict of str to str
        SHA-256 by the name of the module, in order of the names.

    Examples
    --------
    >>> files_needed(compile("import numpy, glomfeat.core; from . import gone", "cell", "exec"), {})
    {}
    """
    package = getattr(names.get("__spec__"), "parent", None) or names.get("__package__")
    find = functools.cache(_find)  # for this call, because files may change before the next one
    return _files([*_imported(code, package, find), *_reached(code, modules, find)], find)


def files_of(modules):
    """Digests of the files of modules of the user's own, and of all that these need; see `files_needed`.

    Parameters
    ----------
    modules : iterable of str
        Names of modules; those that are not the user's own are left out.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> files_of(["numpy", "glomfeat.core"])
    {}
    """
    return _files([upper for name in modules for upper in _with_packages(name)], functools.cache(_find))


def _files(left, find):
    """Digests of the files of some modules, and of all that these need."""
    found = {}
    while left:
        name = left.pop()
        if name in found or (spec := find(name)) is None:
            continue
        found[name] = None
        if spec.has_location:
            content = _content(spec.origin, spec.loader)
            found[name] = hashlib.sha256(content).hexdigest()
            left += _imported(_compiled(content), spec.parent, find)
    return {name: digest for name, digest in sorted(found.items()) if digest}


def every_code(code):
    """Yield code, and that of all functions and classes in it.

    Parameters
    ----------
    code : types.CodeType

    Yields
    ------
    types.CodeType
    """
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from every_code(part)


def _imported(code, package, find):
    """Names of all modules that code may import: with the packages that they are in, and with what is reached there."""
    names = set()
    for part in every_code(code):
        if dis.opmap["IMPORT_NAME"] not in part.co_code[::2]:  # most functions: to read their steps takes long
            continue
        steps = [step for step in dis.get_instructions(part) if step.opname != "EXTENDED_ARG"]
        for level, listed, step in zip(steps, steps[1:], steps[2:], strict=False):
            if step.opname == "IMPORT_NAME" and (base := _absolute(step.argval, level.argval, package)):
                names.update(*map(_with_packages, [base, *(f"{base}.{one}" for one in listed.argval or ())]))
    return names.union(_reached(code, names, find))


def _absolute(name, level, package):
    try:
        return importlib.util.resolve_name("." * level + name, package) if level else name
    except ImportError:
        return ""


def _with_packages(name):
    """The names of a module and of the packages that it is in: ``a``, ``a.b`` and ``a.b.c`` for ``a.b.c``."""
    return accumulate(name.split("."), "{}.{}".format)


def _reached(code, modules, find):
    """Names of submodules that code reaches as attributes, such as ``lab.colours`` in ``lab.colours.red()``."""
    attributes, left = {name for part in every_code(code) for name in part.co_names}, list(modules)
    while left:
        package = left.pop()
        folders = (spec.submodule_search_locations or ()) if (spec := find(package)) else ()
        there = {name for folder in folders for name in _names_in(folder)}
        new = [name for one in attributes & there if find(name := f"{package}.{one}")]
        yield from new
        left += new


def _names_in(folder):
    """Names that modules in a folder may have."""
    return {path.name.partition(".")[0] for path in Path(folder).iterdir()} if Path(folder).is_dir() else ()


def _find(name):
    """Where a module of the user's own is; None if there is none of this name, or if it is not the user's."""
    spec = None
    for upper in _with_packages(name):
        try:
            spec = PathFinder.find_spec(upper, spec.submodule_search_locations) if spec else _find_top(upper)
        except (ImportError, ValueError):
            return None
        if spec is None or not _is_own_spec(spec) or (upper != name and spec.submodule_search_locations is None):
            return None
    return spec


def _find_top(name):
    return importlib.util.find_spec(name) if name != "glomfeat" else None


def _is_own_spec(spec):
    """Whether a module's file is the user's; for a package without one, whether any of its folders is."""
    return any(map(_is_own_place, [spec.origin] if spec.has_location else spec.submodule_search_locations or ()))


def _content(path, loader):
    try:
        return Path(path).read_bytes()
    except OSError:
        return loader.get_data(path)  # of an archive


def _compiled(content):
    """The code of a file; of an empty one if it is no Python."""
    with warnings.catch_warnings(action="ignore"):
        try:
            return compile(content, "", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return compile("", "", "exec")


def _is_own_place(path):
    place = Path(path)
    installed = {"site-packages", "dist-packages"} & set(place.parts)
    return not installed and not place.is_relative_to(STDLIB)
