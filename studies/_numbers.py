"""Refuses values of numeric options that are no numbers, in words and before any other option is read."""

from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from glomfeat.core.errors import InputError

WORDS = {int: "whole number", float: "number"}


def refuse_no_numbers(cls, arguments, where=""):
    """Refuse a command line that gives a word to an option that takes numbers.

    Parameters
    ----------
    cls : type
        A dataclass of options.
    arguments : list of str
    where : str
        Put before the message.

    Raises
    ------
    InputError
        Names the option, its value, and what it takes.

    Examples
    --------
    >>> from glomfeat.comparison.options import Study
    >>> refuse_no_numbers(Study, ["--size", "large"])
    Traceback (most recent call last):
    glomfeat.core.errors.InputError: --size is 'large': give one or more whole numbers
    """
    hints = get_type_hints(cls)
    numeric = {f"--{name.replace('_', '-')}": _numeric(hint) for name, hint in hints.items()}
    for place, argument in enumerate(arguments):
        option, given, value = argument.partition("=")
        kind, several = numeric.get(option.replace("_", "-")) or (None, False)
        if kind is None:
            continue
        values = [value] if given else _following(arguments[place + 1 :], several)
        if not all(_fits(kind, one) for one in values):
            wanted = f"one or more {WORDS[kind]}s" if several else f"a {WORDS[kind]}"
            more = "; DATA stands before the options" if len(values) > 1 and "data" in hints else ""
            raise InputError(f"{where}{option} is {' '.join(values)!r}: give {wanted}{more}")


def _numeric(hint: Any) -> tuple[type, bool] | None:
    """The kind of number that an option takes, and whether it takes several; None if it takes anything else."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    several = [get_args(kind)[0] for kind in kinds if get_origin(kind) is tuple]
    found = {*several, *(kind for kind in kinds if get_origin(kind) is not tuple and kind is not NoneType)}
    return (found.pop(), bool(several)) if len(found) == 1 and found <= {*WORDS} else None


def _following(arguments, several):
    """The values of an option, from what follows it."""
    end = next((k for k, one in enumerate(arguments) if one.startswith("--")), len(arguments))
    return arguments[: end if several else min(end, 1)]


def _fits(kind, text):
    try:
        kind(text)
    except ValueError:
        return text == "None"  # what YAML and --help write for no value
    return True
