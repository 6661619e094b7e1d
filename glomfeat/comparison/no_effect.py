"""Lines on options that were asked for and change nothing in a study as it is."""

from collections.abc import Callable
from dataclasses import dataclass

from glomfeat.comparison.options import Study
from glomfeat.core.plugins import name_of


@dataclass(frozen=True)
class Need:
    """An option, and what it needs to have an effect.

    Attributes
    ----------
    option : str
        Name of a field of `Study`, whose default asks for nothing.
    lacks : callable
        Takes a Prepared, and says why the option has no effect; empty if it has one.
    """

    option: str
    lacks: Callable


def lines_on_no_effect(prepared):
    """Lines for the user on options that change nothing.

    Parameters
    ----------
    prepared : glomfeat.comparison.prepare.Prepared

    Returns
    -------
    list of str

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> lines_on_no_effect(SimpleNamespace(study=Study(compile=True), features=[]))
    ['--compile changes nothing: it is for networks, and there are none']
    """
    return [
        f"--{_written(need.option, value)} changes nothing: {why}"
        for need in NEEDS
        if (value := getattr(prepared.study, need.option)) != getattr(Study, need.option)
        and (why := need.lacks(prepared))
    ]


def _written(option, value):
    return option if value is True else f"{option} {name_of(value)}"


def _no_network(prepared):
    found = prepared.study.nets or any(feature.is_deep for feature in prepared.features)
    return "" if found else "it is for networks, and there are none"


def _no_threshold(prepared):
    classes = len(prepared.manifest.classes)
    return f"with {classes} classes, the one with the largest score is called" if classes > 2 else ""


NEEDS = (
    Need("precision", _no_network),
    Need("compile", _no_network),
    Need("threshold", _no_threshold),
)
