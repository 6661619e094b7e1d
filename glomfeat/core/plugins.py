"""A plug-in is a name: a key of a plain dict of factories, else ``module:function``."""

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from glomfeat.core.errors import UserError
from glomfeat.core.words import joined

LISTS = "python -m studies.check --names --kind {}"


class PluginError(UserError, LookupError):
    """A name that is neither registered nor importable."""


class Coded(str):
    """A name of the user's own code, with a digest of that code.

    Parameters
    ----------
    name : str
    digest : str
        Digest of what it stands for, see `glomfeat.core.fingerprint`.

    Examples
    --------
    >>> Coded("mylab:lda", "1a2b").full
    'mylab:lda@1a2b'
    """

    digest: str

    def __new__(cls, name, digest):
        made = super().__new__(cls, name)
        made.digest = digest
        return made

    def __reduce__(self):
        return Coded, (str(self), self.digest)

    def __deepcopy__(self, memo):
        return self

    @property
    def full(self):
        """The name with the digest, as it stands in keys and in the identity of a study."""
        return f"{self}@{self.digest}"


class Own(Coded):
    """A name that carries what it stands for, so that no process has to look it up.

    Parameters
    ----------
    name : str
    brings : callable
        The factory.
    digest : str
        Digest of what it stands for, see `glomfeat.core.fingerprint`.

    Examples
    --------
    >>> import math
    >>> name = Own("root", math.sqrt, "1a2b")
    >>> name == "root", resolve(name, {}, "head")(9.0), name.full
    (True, 3.0, 'root@1a2b')
    """

    brings: Callable

    def __new__(cls, name, brings, digest):
        made = super().__new__(cls, name, digest)
        made.brings = brings
        return made

    def __reduce__(self):
        return Own, (str(self), self.brings, self.digest)


def is_own(name):
    """Whether a name stands for code of the user's own.

    Examples
    --------
    >>> is_own("mylab:lda"), is_own("svm")
    (True, False)
    """
    return isinstance(name, Own) or ":" in name


def did_you_mean(name, known, lists=""):
    """Say which known names are close to `name`, or list them all.

    Parameters
    ----------
    name : str
    known : iterable of str
    lists : str
        The command that lists them, if they are too many for a message; only the three nearest are given then.

    Examples
    --------
    >>> did_you_mean("logrg", ["logreg", "svm"])
    "did you mean 'logreg'? known: logreg, svm"
    >>> did_you_mean("resnet19", ["resnet18", "vgg16", "resnet34", "resnet152"], "ls")
    "did you mean 'resnet18', 'resnet152' or 'resnet34'? all names: ls"
    """
    known = sorted(known)
    if lists:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
        return f"did you mean {joined(map(repr, near), 'or')}? all names: {lists}"
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(known)}"


def if_path(name):
    """What to say of an unknown name if it is a path, as DATA behind an option of several values is; else nothing.

    Examples
    --------
    >>> if_path("/"), if_path("logrg")
    ("; '/' is a file or folder: DATA stands before the options", '')
    """
    there = os.path.exists(name)  # noqa: PTH110 (a name may be too long for a path)
    return f"; {name!r} is a file or folder: DATA stands before the options" if there else ""


def resolve(name, table, kind):
    """Find the factory that a name stands for.

    Parameters
    ----------
    name : str
        A key of `table`, or ``"module:function"``; the current folder is searched too. An `Own` name brings its own.
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
    if isinstance(name, Own):
        return name.brings
    if name in table:
        return table[name]
    module_name, colon, attribute = name.partition(":")
    if not colon:
        known = f"{did_you_mean(name, table)}; your own is 'module:function'"
        raise PluginError(f"no {kind} is called {name!r}: {known}{if_path(name)}")
    missing = (
        f"{kind} {name!r}: there is no module {module_name!r}; run the command in its folder, or put it on PYTHONPATH"
    )
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise PluginError(f"{missing}; a module is written without folder and .py")
    folder = str(Path.cwd())  # an installed command does not have the current folder on its path
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        module = importlib.import_module(module_name)
    except SystemExit as error:
        raise PluginError(
            f"{kind} {name!r}: {module_name} ends the program when it is imported (SystemExit: {error}): put what runs "
            "it below if __name__ == '__main__'"
        ) from error
    except Exception as error:
        itself = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")
        raise PluginError(missing if itself else f"{kind} {name!r}: {_not_imported(module_name, error)}") from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise PluginError(
            f"{kind} {name!r}: {module_name} has no function {attribute!r}; {did_you_mean(attribute, names)}"
        )
    return factory


def _not_imported(module, error):
    """Say why a module of the user's own cannot be imported, and which line says so."""
    if isinstance(error, SyntaxError):
        file, line, code = error.filename, error.lineno, error.text
    else:
        last = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith("<")][-1]
        file, line, code = last.filename, last.lineno, last.line
    why = error.msg if isinstance(error, SyntaxError) else error
    place = f"{Path(file or module).name}:{line}: {(code or '').strip()}"
    return f"{module} cannot be imported, correct it or install what it needs ({type(error).__name__}: {why}; {place})"


def definition_of(name):
    """What a name of the user's own code stands for; None for any other name.

    Examples
    --------
    >>> import math
    >>> definition_of("math:sqrt") is math.sqrt, definition_of("svm")
    (True, None)
    """
    return resolve(name, {}, "part") if is_own(name) else None


def name_of(part):
    """What a part is called in tables and files: its name, or ``module:function``; anything else stays as it is.

    Examples
    --------
    >>> name_of("balanced"), name_of(resolve)
    ('balanced', 'glomfeat.core.plugins:resolve')
    """
    if not callable(part):
        return part
    return f"{part.__module__}:{getattr(part, '__qualname__', type(part).__qualname__)}"
