"""How ``--help`` shows options: in groups, the most needed ones first, with words for their values."""

import ast
import inspect
import itertools
import textwrap
from dataclasses import MISSING, field, fields, make_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

from glomfeat.core.errors import UserError

MOST_NEEDED = ("labels", "positive", "groups", "features", "heads", "nets", "folds", "weights", "out", "dry_run")
# For each group a sentence and its options; an option that is not listed joins the group of the one before it.
GROUPS = {
    "data": (
        "Where images, labels and cases come from, and how images are read.",
        ("sites", "layout", "name_column", "label_column", "columns", "drop", "missing", "size", "padding", "stain")
        + ("stain_reference", "icc", "on_error"),
    ),
    "comparison": (
        "What is compared, and what else is measured.",
        ("reducers", "ensembles", "layer", "precision", "compile", "random_twin", "leak_price", "learning_curve")
        + ("perturb",)
        + ("subgroups", "reference", "margin", "prevalence", "test", "map", "case_rule", "ordinal", "readers")
        + ("metrics",),
    ),
    "fold": (
        "How cases are split, and what is chosen within the training cases.",
        ("scheme", "allow_split_cases", "repeats", "seed", "threshold", "calibration"),
    ),
    "network": ("How --nets are trained.", ("preset", "epochs", "batch", "lr", "class_weight")),
    "output": ("What else is written.", ("show_names", "inside", "save_models", "include_weights")),
    "machine": (
        "Where a study runs, and what it may use.",
        ("memory", "jobs", "timeout", "threads", "backend", "scheduler", "device", "cache"),
    ),
}
FEWEST_GROUPED = 30  # with fewer options, there is one list
# What stands for a value if its type does not say it.
VALUES = {
    **dict.fromkeys(("out", "labels", "cache", "to", "audit", "readers", "texture", "breakhis", "geojson"), "PATH"),
    **dict.fromkeys(("name_column", "label_column", "columns", "drop", "subgroups", "sites"), "COLUMN"),
    **dict.fromkeys(("memory", "free_to"), "SIZE"),
    **dict.fromkeys(("metrics", "trust"), "MODULE:FUNCTION"),
    **dict.fromkeys(("groups", "case_pattern"), "RULE"),
    **dict.fromkeys(("ordinal", "classes", "positive"), "CLASS"),
    "data": "DATA",
    "weights": "NAME|PATH",
    "stain_reference": "NAME|PATH",
    "style": "NAME|PATH",
    "layout": "LEVEL/LEVEL/...",
    "scheme": "SCHEME",
    "threshold": "RULE",
    "reference": "ARM",
    "arm": "ARM",
    "ensembles": "ARM,ARM",
    "test": "[NAME=]PATH",
    "map": "THEIRS=OURS",
    "tune": "NAME=VALUE,VALUE",
    "prevalence": "SHARE",
    "scheduler": "ADDRESS",
    "device": "DEVICE",
    "timeout": "SECONDS",
    "free_older": "AGE",
}
OF_TYPES = {int: "N", float: "X", str: "NAME"}
NUMBERS = {int: "whole number", float: "number"}


class NoNumberError(UserError):
    """An option that takes numbers was given something else; no ValueError, for which tyro has words of its own."""


def parser_of(cls, values):
    """A dataclass that tyro turns into a parser, with the options of another dataclass in groups.

    Parameters
    ----------
    cls : type
        A dataclass of options. One without a text below it has that of the same option of `studies.compare`.
    values : dict of str to object
        Defaults that replace those of `cls`.

    Returns
    -------
    type
        `gathered` turns its objects into arguments of `cls`.
    """
    import tyro

    texts, hints, titles = texts_of(cls), get_type_hints(cls, include_extras=True), {}
    if not texts.keys() >= hints.keys():
        from glomfeat.comparison.options import Study

        texts = texts_of(Study) | texts
    order = "; DATA stands before the options" if "data" in hints else ""
    options = {one.name: _option(one, hints[one.name], texts.get(one.name), values, order) for one in fields(cls)}
    for title, names in _in_groups(cls).items():
        titles.setdefault(title, []).extend(options[name] for name in names)
    found = titles.pop("", [])
    for title, own in titles.items():
        group = make_dataclass(title, own, frozen=True)
        how = tyro.conf.OmitArgPrefixes, tyro.conf.arg(name=title, help=GROUPS[title][0])
        found.append((f"{title}_group", Annotated[(group, *how)], field(default_factory=group)))
    return make_dataclass(cls.__name__, found, frozen=True, kw_only=True)


def gathered(parsed):
    """The options of all groups, by their names.

    Parameters
    ----------
    parsed : object
        An object of the class that `parser_of` returns.
    """
    found = {}
    for name in (one.name for one in fields(parsed)):
        value = getattr(parsed, name)
        found |= gathered(value) if name.endswith("_group") else {name: value}
    return found


@cache
def texts_of(cls):
    """The text below each field of a dataclass and of those that it extends."""
    found = {}
    for one in reversed(cls.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0].body
        for above, below in itertools.pairwise(body):
            if isinstance(above, ast.AnnAssign) and isinstance(below, ast.Expr):
                found[above.target.id] = " ".join(below.value.value.split())
    return found


def _in_groups(cls):
    """The names of options by group; those in no group, or all if there are few, under the empty name."""
    names = [one.name for one in fields(cls)]
    if len(names) < FEWEST_GROUPED:
        return {"": names}
    group_of = {name: title for title, (_, of_group) in GROUPS.items() for name in of_group}
    found, title = {"": ["data", *MOST_NEEDED]} | {title: [] for title in GROUPS}, "data"
    found[""] = [name for name in found[""] if name in names]
    for name in names:
        if name not in found[""]:
            title = group_of.get(name, title)
            found[title].append(name)
    return {title: own for title, own in found.items() if own}


def _option(one, hint, text, values, order):
    """Name, type and default of an option in the form that `dataclasses.make_dataclass` takes."""
    import tyro

    plain, *markers = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    default = values.get(one.name, one.default)
    of_its_own = [marker for marker in markers if hasattr(marker, "metavar")]
    shown = next((marker.metavar for marker in of_its_own if marker.metavar), None) or value_of(one.name, plain)
    if tyro.conf.Positional in markers and default is not MISSING and shown:
        shown = f"[{shown}]"
    text = next((marker.help for marker in of_its_own if marker.help), text)
    markers = [marker for marker in markers if marker not in of_its_own]
    name = next((marker.name for marker in of_its_own if marker.name), None)
    how = tyro.conf.arg(name=name, metavar=shown, help=text, help_behavior_hint=_default_in_words(default, text))
    if set(_alternatives(plain)) == {str, NoneType}:
        markers.append(_text_as_it_stands())
    if numbers := _numbers(f"--{(name or one.name).replace('_', '-')}", plain, order):
        markers.append(numbers)
    hint = Annotated[(plain, *markers, how)]
    return (one.name, hint) if default is MISSING else (one.name, hint, field(default=default))


def _text_as_it_stands():
    """How tyro reads a text that may be left out: "None" is a text like any other, such as the name of a class."""
    from tyro.constructors import PrimitiveConstructorSpec

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=OF_TYPES[str],
        instance_from_str=lambda given: given[0],
        is_instance=lambda value: value is None or isinstance(value, str),
        str_from_instance=lambda value: [str(value)],
    )


def _numbers(option, hint, order):
    """How tyro reads an option that takes numbers, with a message of our own; None if it takes anything else."""
    from tyro.constructors import PrimitiveConstructorSpec

    may_be = _alternatives(hint)
    kinds = [kind for kind in may_be if kind is not NoneType]
    lists = [get_args(kind)[0] for kind in kinds if get_origin(kind) is tuple]
    kind, *others = {*lists, *(one for one in kinds if get_origin(one) is not tuple)}
    if others or kind not in NUMBERS:
        return None

    def read(given):
        if given == ["None"] and NoneType in may_be:  # what YAML and --help write for no value
            return None
        try:
            found = tuple(map(kind, given))
        except ValueError:
            wanted = f"one or more {NUMBERS[kind]}s" if lists else f"a {NUMBERS[kind]}"
            more = order if len(given) > 1 else ""
            raise NoNumberError(f"{option} is {' '.join(given)!r}: give {wanted}{more}") from None
        return found[0] if len(found) == 1 and len(kinds) > len(lists) else found

    return PrimitiveConstructorSpec(
        nargs="*" if lists else 1,
        metavar=OF_TYPES[kind],
        instance_from_str=read,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [*map(str, value if isinstance(value, tuple) else [value])],
    )


def _default_in_words(default, text):
    """What is said of a default; nothing of what the text tells, or of what is done only if asked for."""
    if default is MISSING:
        return "(required)"
    if default is None or default is False or (default == () and "Default: " in (text or "")):
        return ""
    return lambda written: f"(default: {written or 'none'})"


def value_of(name, hint):
    """The word that stands for the value of an option; None if there is no value.

    Examples
    --------
    >>> value_of("out", str), value_of("folds", int), value_of("heads", tuple[str, ...]), value_of("dry_run", bool)
    ('PATH', 'N', 'NAME ...', None)
    >>> value_of("padding", Literal["white", "zero"] | tuple[Literal["white", "zero"], ...])
    '{white,zero} ...'
    """
    kinds = [kind for kind in _alternatives(hint) if kind is not NoneType]
    lists = [get_args(kind)[0] for kind in kinds if get_origin(kind) is tuple]
    kind = (lists or kinds)[0]
    if kind is bool:
        return None
    if get_origin(kind) is Literal:
        shown = f"{{{','.join(map(str, get_args(kind)))}}}"
    else:
        shown = OF_TYPES[kind] if kind is int else VALUES.get(name, OF_TYPES[kind])
    return f"{shown} ..." if lists else shown


def names_of_texts(cls):
    """The names of options whose values are texts of any kind, as they stand in files.

    Parameters
    ----------
    cls : type
        A dataclass of options.

    Examples
    --------
    >>> from glomfeat.comparison.options import Study
    >>> sorted(names_of_texts(Study) & {"positive", "drop", "with", "folds", "padding"})
    ['drop', 'positive', 'with']
    """
    kinds = {name: _alternatives(hint) for name, hint in get_type_hints(cls).items()}
    return {name.rstrip("_") for name, of in kinds.items() if any(one in (str, tuple[str, ...]) for one in of)}


def _alternatives(hint):
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
