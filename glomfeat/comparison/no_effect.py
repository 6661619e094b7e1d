"""Options that were asked for and change nothing in a study as it is: lines that say so, and empty texts."""

from collections.abc import Callable
from dataclasses import dataclass

from glomfeat.comparison.options import Study
from glomfeat.core.arms import StudyError
from glomfeat.core.plugins import name_of
from glomfeat.core.words import joined
from glomfeat.data.schemes import CrossValidation, Holdout

# texts that would quietly count as left out if they are empty, as an unset variable of a shell is
TEXTS = ("layout", "init", "layer", "weights", "memory", "scheduler", "cache")


@dataclass(frozen=True)
class Need:
    """An option, and what it needs to have an effect.

    Attributes
    ----------
    option : str
        Name of a field of `Study`, whose default asks for nothing.
    lacks : callable
        Takes a Prepared and the study as the user gave it, and says why the option has no effect; empty if it has one.
    """

    option: str
    lacks: Callable


def refuse_empty(given):
    """Refuse an option whose text is empty, before a new study begins.

    Parameters
    ----------
    given : Study
        As the user gave it.

    Raises
    ------
    StudyError
        Names the option.
    """
    if empty := _empty(given):
        raise StudyError(f"--{empty[0]} is empty: write a value there, or leave the option out")


def lines_on_no_effect(prepared, given):
    """Lines for the user on options that change nothing.

    Parameters
    ----------
    prepared : glomfeat.comparison.prepare.Prepared
    given : Study
        As the user gave it, with nothing filled in.

    Returns
    -------
    list of str
        One for each reason.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> given = Study(compile=True)
    >>> lines_on_no_effect(SimpleNamespace(study=given, features=[]), given)
    ['--compile changes nothing: it is for networks, and there are none']
    """
    empty, idle = _empty(given), {}
    for need in NEEDS:
        value = getattr(given, need.option)
        asked = value != getattr(Study, need.option) and need.option not in empty
        if asked and (why := need.lacks(prepared, given)):
            idle.setdefault(why, []).append(_written(need.option, value))
    return [f"--{name} is empty, which counts as left out" for name in empty] + [
        f"{joined(options)} change{'s' if len(options) == 1 else ''} nothing: {why}" for why, options in idle.items()
    ]


def _empty(given):
    return [name for name in TEXTS if (text := getattr(given, name)) is not None and not text.strip()]


def _written(option, value):
    values = value if isinstance(value, tuple | list) else [value]
    return f"--{option.replace('_', '-')}" + "".join(f" {name_of(one)}" for one in values if one is not True)


def _no_network(prepared, given):
    found = prepared.study.nets or any(feature.is_deep for feature in prepared.features)
    return "" if found else "it is for networks, and there are none"


def _no_weights(prepared, given):
    filled_in = given.weights == ("imagenet" if given.data else "auto")  # as study.yaml has it
    return "" if filled_in else _no_network(prepared, given)


def _no_deep_feature(prepared, given):
    found = any(feature.is_deep for feature in prepared.features)
    return "" if found else "it is for features of networks, and there are none"


def _nothing_trained(prepared, given):
    return "" if given.nets else "it is for the training of --nets, and there are none"


def _no_images(prepared, given):
    return "DATA is a feature table, without images" if prepared.manifest.source else ""


def _no_bundles(prepared, given):
    return "" if given.save_models else "it is for the bundles of --save-models"


def _no_threshold(prepared, given):
    classes = len(prepared.manifest.classes)
    return f"with {classes} classes, the one with the largest score is called" if classes > 2 else ""


def _own_folds(prepared, given):
    if isinstance(given.split, CrossValidation):
        return ""
    filled_in = prepared.study.folds == given.folds and not isinstance(given.split, Holdout)  # as study.yaml has it
    return "" if filled_in else f"--scheme {given.scheme} says itself what is tested"


NEEDS = (
    Need("folds", _own_folds),
    Need("threshold", _no_threshold),
    Need("layout", _no_images),
    Need("size", _no_images),
    Need("padding", _no_images),
    Need("icc", _no_images),
    Need("layer", _no_deep_feature),
    Need("weights", _no_weights),
    Need("precision", _no_network),
    Need("compile", _no_network),
    Need("preset", _nothing_trained),
    Need("epochs", _nothing_trained),
    Need("batch", _nothing_trained),
    Need("lr", _nothing_trained),
    Need("class_weight", _nothing_trained),
    Need("include_weights", _no_bundles),
)
