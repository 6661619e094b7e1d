"""Options that were asked for and change nothing in a study as it is: lines that say so, and empty texts."""

from glomfeat.comparison.folder import journal_of
from glomfeat.comparison.options import OF_NETS
from glomfeat.core.arms import FLOOR, StudyError
from glomfeat.core.plugins import name_of
from glomfeat.core.words import joined
from glomfeat.data.schemes import CrossValidation
from glomfeat.models.nets import FROM_FUNCTION, FROM_NOTHING
from glomfeat.models.nets.modes import OF_BUNDLES

# texts that would quietly count as left out if they are empty, as an unset variable of a shell is
TEXTS = ("layout", "init", "layer", "weights", "memory", "scheduler", "cache")


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


def lines_on_no_effect(prepared, given, needs=None):
    """Lines for the user on options that change nothing.

    Parameters
    ----------
    prepared : glomfeat.comparison.prepare.Prepared
        Or what has its ``manifest``, ``features`` and ``nets``, if `needs` is `OF_FEATURES`.
    given : Study or dataclass
        As the user gave it, with nothing filled in.
    needs : dict of str to callable
        The options that are looked at, and why one has no effect: `NEEDS`, or those `OF_FEATURES` alone.

    Returns
    -------
    list of str
        One for each reason.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from glomfeat.comparison.options import Study
    >>> given = Study(compile=True)
    >>> lines_on_no_effect(SimpleNamespace(nets={}, features=[]), given)
    ['--compile changes nothing: it is for networks, and there are none']
    """
    empty, idle = _empty(given), {}
    for option, lacks in (needs or NEEDS).items():
        value = getattr(given, option)
        asked = value != getattr(type(given), option) and option not in empty
        if asked and (why := lacks(prepared, given)):
            idle.setdefault(why, []).append(_written(option, value))
    return [f"--{name} is empty, which counts as left out" for name in empty] + [
        f"{joined(options)} change{'s' if len(options) == 1 else ''} nothing: {why}" for why, options in idle.items()
    ]


def _empty(given):
    return [name for name in TEXTS if (text := getattr(given, name, None)) is not None and not text.strip()]


def _written(option, value):
    values = value if isinstance(value, tuple | list) else [value]
    return f"--{option.replace('_', '-')}" + "".join(f" {name_of(one)}" for one in values if one is not True)


def _no_network(prepared, given):
    found = prepared.nets or any(feature.is_deep for feature in prepared.features)
    return "" if found else "it is for networks, and there are none"


def no_pretrained(prepared, given):
    """Why ``--weights`` has no effect; empty if it has one. Parameters as for `lines_on_no_effect`."""
    starts = {*prepared.nets.values()} - {FROM_NOTHING, FROM_FUNCTION}
    bundles = {start for start in starts if start.startswith(OF_BUNDLES)}
    if starts - bundles or any(feature.is_deep for feature in prepared.features):
        return ""
    return "networks start from --init" if bundles else "it is for pretrained networks, and there are none"


def _no_deep_feature(prepared, given):
    found = any(feature.is_deep for feature in prepared.features)
    return "" if found else "it is for features of networks, and there are none"


def _nothing_trained(prepared, given):
    return "" if given.nets else "it is for --nets, and there are none"


def _no_images(prepared, given):
    return "DATA is a feature table, without images" if prepared.manifest.source else ""


def _no_other_arm(prepared, given):
    others = {*map(str, prepared.arms)} - {FLOOR, prepared.reference}
    return "" if others else "there is no other arm to compare with it"


def _no_bundles(prepared, given):
    return "" if given.save_models else "it is for the bundles of --save-models"


def _no_threshold(prepared, given):
    classes = len(prepared.manifest.classes)
    return f"with {classes} classes, the one with the largest score is called" if classes > 2 else ""


def _own_folds(prepared, given):
    dealt = isinstance(given.split, CrossValidation)
    return "" if dealt else f"--scheme {given.scheme} says itself what is tested"


def _workers_decide(prepared, given):
    idle = given.backend != "local" and not given.save_models and not given.test
    return f"with --backend {given.backend}, as many calls run at once as it has workers" if idle else ""


def _nothing_to_map(prepared, given):
    made = {one["each"] for one in journal_of(given).inside().values() if "each" in one} - {given.inside}
    if made:
        return f"maps of {joined(sorted(made))} images of each kind are there already and stay"
    classes = len(prepared.manifest.classes)
    drawn = f"maps are drawn for two classes, and there are {classes}" if classes > 2 else _no_network(prepared, given)
    return drawn if given.inside else ""


# options whose default asks for nothing, with a function that says why one has no effect; empty if it has one
OF_FEATURES = {
    **dict.fromkeys(("layout", "size", "padding", "icc"), _no_images),
    "layer": _no_deep_feature,
    "weights": no_pretrained,
    "precision": _no_network,
}
NEEDS = {
    "folds": _own_folds,
    "jobs": _workers_decide,
    "inside": _nothing_to_map,
    "threshold": _no_threshold,
    **OF_FEATURES,
    "compile": _no_network,
    **dict.fromkeys(("preset", "epochs", "batch", "lr", "class_weight", *OF_NETS), _nothing_trained),
    **dict.fromkeys(("tune", "init", "tta"), _nothing_trained),
    "include_weights": _no_bundles,
    **dict.fromkeys(("reference", "margin"), _no_other_arm),
}
