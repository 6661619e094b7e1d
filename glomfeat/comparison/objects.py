"""The user's own parts, given as objects, estimators or functions, under names that can stand in an arm."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sklearn.base import BaseEstimator, clone

from glomfeat.core.errors import UserError
from glomfeat.core.fingerprint import UnstableError, digest_of_code, digest_of_thing
from glomfeat.core.plugins import Coded, Own, PluginError, name_of, resolve
from glomfeat.features.base import Defaults, as_feature, following, missing_members
from glomfeat.features.make import FEATURES, Handcrafted
from glomfeat.features.users import is_users
from glomfeat.models.heads.built_in import HEADS, Head
from glomfeat.models.nets import find_architecture, net_names, one_view, split_mode
from glomfeat.models.random_states import closed, seeded
from glomfeat.models.reducers.fit import parse_reducer

PLAINLY = BaseEstimator.__sklearn_clone__  # others may keep what is learnt
ONCE = "once-"  # precedes a random digest for parts that cannot be compared with another run
EXAMPLES = {
    "features": 'features={"redness": function} or features=[Handcrafted("redness.v1", function)]',
    "heads": 'heads={"lda": LinearDiscriminantAnalysis()}',
    "reducers": 'reducers={"svd20": TruncatedSVD(20)}',
    "nets": 'nets={"mine": "C16-MP-F-D64-out"} or nets={"mine": function}',
}


class OwnPartError(UserError, ValueError):
    """A part of the user's own, or its name, cannot be used."""


@dataclass(frozen=True)
class Seeded:
    """A factory of heads from an unfitted estimator: each is a clone with the seed wherever it takes one.

    Attributes
    ----------
    head : Head

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> Seeded(Head(SVC()))(seed=3).estimator.random_state
    3
    """

    head: Head

    def __call__(self, seed):
        return replace(self.head, estimator=seeded(self.head.estimator, seed))


@dataclass(frozen=True)
class Fresh:
    """A factory of reducers from an unfitted transformer: each is a clone, with open random states set to 0."""

    transformer: Any

    def __call__(self):
        return closed(clone(self.transformer), 0)


@dataclass(frozen=True)
class Same:
    """A factory that always returns the same thing."""

    thing: Any

    def __call__(self):
        return self.thing


def own_names(kind, asked, say=lambda line: None):
    """The names of one kind of parts; anything that is not a name becomes one that carries its part.

    Parameters
    ----------
    kind : {"features", "heads", "reducers", "nets"}
    asked : str, object, dict of str to object, or list of any of them
    say : callable
        Called with a line for each part that cannot be compared with that of another run.

    Returns
    -------
    tuple of str
        Names as on the command line, or `glomfeat.core.plugins.Own`.

    Raises
    ------
    OwnPartError
        With what is wrong with a part or its name, and what to write instead.

    Examples
    --------
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> own_names("heads", ["logreg", {"lda": LinearDiscriminantAnalysis()}])
    ('logreg', 'lda')
    """
    found = []
    for item in asked if isinstance(asked, list | tuple) else [asked]:
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, Mapping):
            found += [_own(kind, name, part, say) for name, part in item.items()]
        elif kind == "features" and _is_feature(item):
            found.append(_own_feature(item, say))
        else:
            raise OwnPartError(f"{kind}: {_a(item)} needs a name of its own: write {EXAMPLES[kind]}")
    return tuple(found)


def coded(kind, name):
    """A name from the command line; if it names the user's own code, with a digest of that code.

    Parameters
    ----------
    kind : {"features", "heads", "reducers", "nets", "threshold"}
    name : str

    Returns
    -------
    str

    Raises
    ------
    PluginError
        There is no such module or function.

    Examples
    --------
    >>> [getattr(coded("heads", name), "full", name)[:10] for name in ("svm", "math:sqrt")]
    ['svm', 'math:sqrt@']
    """
    if not isinstance(name, str) or isinstance(name, Coded) or ":" not in name or name.startswith(("file:", "timm:")):
        return name
    if kind == "nets" and (find_architecture(name) or split_mode(name)):
        return name
    called = one_view(name) if kind == "nets" else name
    return Coded(name, digest_of_code(resolve(called, {}, kind.removesuffix("s"))))


def own_function(function, say):
    """The name of a function that serves as a rule, which carries the function.

    Parameters
    ----------
    function : callable
    say : callable
        As in `own_names`.

    Returns
    -------
    glomfeat.core.plugins.Own

    Examples
    --------
    >>> own_function(max, print)
    'builtins:max'
    """
    name = name_of(function)
    return Own(name, function, _digest(name, function, say))


def _own(kind, name, part, say):
    where = f"{kind}: {name!r}"
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name):
        raise OwnPartError(f"{where} cannot be a name in an arm: use letters, digits, '_', '-' and '.' only")
    if _is_built_in(kind, name):
        raise OwnPartError(f"{where} is the name of a part that glomfeat has already: choose another one")
    if isinstance(part, str) and kind != "nets":
        raise OwnPartError(f"{where} stands for the text {part!r}: a part is named in a list, {kind}=[{part!r}]")
    if isinstance(part, type) and kind != "nets":
        raise OwnPartError(f"{where} is the class {part.__name__}: give an object of it, {part.__name__}(...)")
    if kind == "features":
        if _is_feature(part):
            raise OwnPartError(f"{where}: {part.name} has its name already: write it into a list, features=[...]")
        _must_be_callable(part, where, "a function of an image and its size that returns numbers", kind)
        return _own_feature(Handcrafted(name if "." in name else f"{name}.v1", part), say)
    brings = {"heads": _head, "reducers": _reducer, "nets": _net}[kind](where, name, part)
    return Own(name, brings, _digest(name, part if isinstance(part, str) else brings, say))


def _head(where, name, part):
    if isinstance(part, Head):
        return Seeded(part)
    if hasattr(part, "fit") and hasattr(part, "get_params"):
        return Seeded(Head(part))
    _must_be_callable(part, where, "a classifier of scikit-learn, a Head, or a function of a seed", "heads")
    return part


def _reducer(where, name, part):
    if hasattr(part, "get_params"):
        part = Fresh(clone(part))
    _must_be_callable(part, where, "a transformer of scikit-learn, or a function that makes one", "reducers")
    made = part()
    if not (hasattr(made, "fit") and hasattr(made, "transform")):
        raise OwnPartError(f"{where} is {_a(made)}, which has not both fit and transform: take a transformer")
    return part


def _net(where, name, part):
    if isinstance(part, str):
        architecture = find_architecture(part)
        if architecture is None or part in net_names():
            raise OwnPartError(f"{where} stands for {part!r}, which are not layers: name it in a list, nets=[{part!r}]")
        return replace(architecture, name=name)
    if hasattr(part, "state_dict") and not isinstance(part, type):
        raise OwnPartError(f"{where} is a network that is built: give a function of classes that builds a new one")
    _must_be_callable(part, where, "layers, or a function of classes that returns a torch.nn.Module", "nets")
    return part


def _own_feature(feature, say):
    """The name of a feature that carries it; stored numbers of the user's own function depend on its code as well."""
    if not isinstance(feature.name, str) or re.search("[/,]", feature.name) or "." not in feature.name:
        raise OwnPartError(
            f"features: {feature.name!r} cannot be a feature's name: write name.version, without '/' and ','"
        )
    feature = as_feature(feature)
    network = getattr(getattr(feature, "build", None), "build", None)  # the user's network, if it is a Backbone
    if network or is_users(feature):
        if _is_built_in("features", feature.name):
            raise OwnPartError(f"features: {feature.name!r} is glomfeat's own: choose another name")
        thing = network or getattr(feature, "describe", None) or getattr(feature, "thing", feature)
        feature = following(feature, _digest(feature.name, thing, say))
    # a run that cannot be resumed has a code of its own
    return Own(feature.name, Same(feature), digest_of_thing([feature.key, feature.standardise]))


def _digest(name, part, say):
    unfitted = []
    if isinstance(part, Seeded):
        part = part(0)  # each trial has its own seed
        unfitted = _cloned(part.estimator)
    elif isinstance(part, Fresh):
        unfitted = _cloned(part.transformer)
    try:
        return digest_of_thing(part, [*unfitted])
    except UnstableError as reason:
        say(f"{name}: it depends on {reason}, which cannot be compared with another run: this run cannot be resumed")
        return f"{ONCE}{uuid.uuid4().hex[:12]}"


def _cloned(part):
    """The estimators that `clone` makes anew: neither what one holds as it is, nor what it cannot look into."""
    if isinstance(part, list | tuple):
        for item in part:
            yield from _cloned(item)
    elif (
        hasattr(part, "get_params")
        and not isinstance(part, type)
        and getattr(type(part), "__sklearn_clone__", PLAINLY) is PLAINLY
    ):
        yield part
        yield from _cloned([*part.get_params(deep=False).values()])


def _is_feature(item):
    return not isinstance(item, type) and (isinstance(item, Defaults) or not missing_members(item))


def _is_built_in(kind, name):
    if kind == "features":
        return name.partition(".")[0] in FEATURES
    if kind == "heads":
        return name in HEADS
    try:
        found = name in net_names() or find_architecture(name) if kind == "nets" else parse_reducer(name)
    except PluginError:
        return False
    return bool(found)


def _must_be_callable(part, where, what, kind):
    if not callable(part):
        raise OwnPartError(f"{where} is {_a(part)}: it must be {what}, such as {EXAMPLES[kind]}")


def _a(thing):
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"a {type(thing).__name__}"
