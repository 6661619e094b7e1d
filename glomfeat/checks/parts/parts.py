"""What a name stands for: the kind of part, and what makes it."""

import functools
import inspect
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass

from joblib.externals.loky.backend.reduction import dumps
from sklearn.base import clone

from glomfeat.checks.parts.findings import brief, note
from glomfeat.core.errors import InputError
from glomfeat.core.installed import need_networks
from glomfeat.core.plugins import LISTS, PluginError, did_you_mean, resolve
from glomfeat.core.workers import alone
from glomfeat.features.make import FEATURES, feature_names, make_feature
from glomfeat.metrics.thresholds import choose_threshold, parse_threshold
from glomfeat.models.heads.built_in import HEADS, Head
from glomfeat.models.nets import check_net, find_architecture, net_names, split_mode
from glomfeat.models.reducers.fit import parse_reducer

KINDS = ("head", "feature", "reducer", "net", "metric", "threshold")
SEED = 7
NAMES: dict[str, Callable[[], list[str]]] = {
    "head": lambda: [*HEADS],
    "feature": feature_names,
    "reducer": lambda: ["none", "ipca", "ipca128", "pca", "pca128"],
    "net": net_names,
    "metric": list,
    "threshold": lambda: ["balanced", "youden", "sensitivity>=0.95"],
}
LONG_S = 600  # that a function may take to make a part


@dataclass(frozen=True)
class Part:
    """A part to check.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    name : str
    make : callable
        What a study calls: for a head with the seed, for a net with ``classes``, for features and reducers with
        nothing; metrics and threshold rules are the functions themselves. None for the library's own nets and reducers,
        which go by name.
    notes : tuple of Finding
        What should be said beforehand.
    """

    kind: str
    name: str
    make: Callable | None
    notes: tuple = ()


def find_part(name, kind=None):
    """Find a part by its name.

    Parameters
    ----------
    name : str
        As in the options of a study, or ``module:object`` for a scikit-learn estimator.
    kind : str, optional
        One of `KINDS`; if left out, inferred from what the function takes and returns.

    Returns
    -------
    Part

    Raises
    ------
    PluginError
        The name is unknown, or its module cannot be imported.
    InputError
        The kind cannot be inferred.

    Examples
    --------
    >>> find_part("pca16").kind, find_part("compact").kind, find_part("glomfeat.models.heads.built_in:logreg").kind
    ('reducer', 'net', 'head')
    """
    if kind not in (None, *KINDS):
        raise InputError(f"kind is {kind!r}: allowed are {', '.join(KINDS)}")
    module, colon, _ = name.partition(":")
    if not colon or split_mode(name) or module in ("timm", "file"):
        return _registered(name, kind)
    thing = _imported(name)
    if not callable(thing):
        kind = kind or ("head" if _scores(thing) else "reducer")
        said = note(f"it is an object: --{kind}s takes a function that returns a new one")
        return Part(kind, name, (lambda seed: clone(thing)) if kind == "head" else lambda: clone(thing), (said,))
    return Part(kind or _kind_of(thing, name), name, thing)


def _imported(name):
    """The function or the estimator that ``module:attribute`` stands for."""
    try:
        return resolve(name, {}, "part")
    except PluginError:
        module, _, attribute = name.partition(":")
        thing = getattr(sys.modules.get(module), attribute, None)
        if hasattr(thing, "fit"):
            return thing
        raise


def _registered(name, kind):
    """A part of the library, by name."""
    if name in HEADS and kind in (None, "head"):
        return Part("head", name, HEADS[name].factory)
    if name in FEATURES and kind in (None, "feature"):
        return Part("feature", name, functools.partial(make_feature, name))
    if kind in (None, "net") and (find_architecture(name) or split_mode(name)):
        return Part("net", check_net(name), None)
    if kind in (None, "feature") and name.startswith("timm:"):  # else it would be taken for a function of that module
        return _backbone(name)
    if kind in (None, "reducer"):
        try:
            parse_reducer(name)
            return Part("reducer", name, None)
        except PluginError:
            pass
    if kind in (None, "threshold"):
        try:
            parse_threshold(name)
            return Part("threshold", name, functools.partial(choose_threshold, rule=name))
        except ValueError:
            pass
    if kind in (None, "feature") and _is_backbone(name):
        return _backbone(name)
    if ":" in name and kind in (None, "net"):
        return Part("net", check_net(name), None)
    lists = LISTS.format(kind) if kind else LISTS.partition(" --kind")[0]
    names = [name for of in names_of(kind).values() for name in of]  # a metric is always the user's own
    known = f"{did_you_mean(name, names, lists)}; " if names else ""
    raise PluginError(f"no {kind or 'part'} is called {name!r}: {known}your own: module:function")


def _backbone(name):
    made = functools.partial(make_feature, name, weights="none", device="cpu")
    return Part("feature", name, made, (note("its weights are drawn at random for these checks"),))


def names_of(kind=None):
    """The names that a study takes without a module, by kind.

    Parameters
    ----------
    kind : str, optional
        One of `KINDS`; all by default.

    Returns
    -------
    dict of str to list of str

    Examples
    --------
    >>> names_of("head"), names_of("metric")
    ({'head': ['logreg', 'svm', 'xgboost', 'dummy']}, {'metric': []})
    """
    return {one: NAMES[one]() for one in KINDS if kind in (None, one)}


def _is_backbone(name):
    if not (name.startswith("timm:") or name.isidentifier()):
        return False
    need_networks(f"feature {name!r}")
    from glomfeat.features.deep.weights import model_names

    return name.startswith("timm:") or name in model_names()


def takes(function, *arguments, **named):
    """Whether a function can be called with these arguments.

    Examples
    --------
    >>> takes(lambda seed: None, 7), takes(lambda: None, 7)
    (True, False)
    """
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError:
        return False
    except ValueError:  # some functions in C do not reveal their arguments
        return True
    return True


def sent(thing):
    """Send a thing through pickling, as to a worker process, and return what arrives.

    Examples
    --------
    >>> sent(lambda x: x + 1)(2)
    3
    """
    return pickle.loads(dumps(thing))


def _scores(thing):
    return any(hasattr(thing, name) for name in ("predict", "predict_proba", "decision_function"))


def _kind_of(function, name):
    """The kind of part that a user's own function makes."""
    if takes(function, classes=2):
        return "net"
    if takes(function, [0, 1], [0.1, 0.9]) and not takes(function, SEED) and not takes(function):
        raise InputError(
            f"{name} takes labels and scores: is it a metric or a rule for the threshold? Say --kind metric or --kind "
            "threshold"
        )
    takes_seed = takes(function, SEED)
    try:
        kind = alone(_kind_made, function, takes_seed, seconds=LONG_S)
    except Exception as error:
        if takes_seed and not takes(function):
            return "head"  # the checks of heads report what it raises
        raise InputError(f"{name} raises {brief(error)}: say what it is with --kind, {', '.join(KINDS)}") from error
    if kind in KINDS:
        return kind
    if takes_seed and not takes(function):
        return "head"
    raise InputError(f"{name} returns a {kind}: say what it is with --kind, {', '.join(KINDS)}")


def _kind_made(function, takes_seed):
    """The kind of what a function makes, or the name of its type."""
    made = function(SEED) if takes_seed else function()
    if hasattr(made, "named_parameters"):
        return "net"
    if isinstance(made, Head) or (_scores(made) and (takes_seed or not hasattr(made, "transform"))):
        return "head"
    if hasattr(made, "standardise") or (hasattr(made, "transform") and not hasattr(made, "fit")):
        return "feature"
    return "reducer" if hasattr(made, "transform") else type(made).__name__
