"""A plug-in is a name: a key of a plain dict of factories, else ``module:function``."""

import difflib
import importlib
import sys
from pathlib import Path


class PluginError(LookupError):
    """A name that is neither registered nor importable."""


def did_you_mean(name, known):
    """Say which known names are close to `name`, or list them all.

    Examples
    --------
    >>> did_you_mean("logrg", ["logreg", "svm"])
    "did you mean 'logreg'? known: logreg, svm"
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(known)}"


def resolve(name, table, kind):
    """Find the factory that a name stands for.

    Parameters
    ----------
    name : str
        A key of `table`, or ``"module:function"``; the current folder is searched too.
    table : dict of str to callable
        The registered factories.
    kind : str
        What is looked for ("head", "feature", ...), for the message.

    Returns
    -------
    callable
        The factory.

    Raises
    ------
    PluginError
        The name is not in the table, or the module or its function cannot be found.

    Examples
    --------
    >>> resolve("math:sqrt", {}, "head")(9.0)
    3.0
    """
    if name in table:
        return table[name]
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise PluginError(f"no {kind} is called {name!r}: {did_you_mean(name, table)}; your own is 'module:function'")
    missing = f"{kind} {name!r}: there is no module {module_name!r}; run where it lies, or put it on PYTHONPATH"
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise PluginError(f"{missing}; a module is written without folder and .py")
    folder = str(Path.cwd())  # an installed command does not have the current folder on its path
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name and not module_name.startswith(f"{error.name}."):
            raise
        raise PluginError(missing) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise PluginError(
            f"{kind} {name!r}: {module_name} has no function {attribute!r}; {did_you_mean(attribute, names)}"
        )
    return factory
