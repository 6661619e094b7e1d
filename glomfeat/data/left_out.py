"""Splits that leave out each value of a column once: a site, scanner, stain or year that no model has seen."""

import numpy as np
import pandas as pd

from glomfeat.core.words import number_of
from glomfeat.data.cases import NAMED_BY, shown_as
from glomfeat.data.lone_values import hide_lone
from glomfeat.data.tables.read import listed, read_values, without_value
from glomfeat.data.twins import twins_in_words

MOST_VALUES = 20
LEAST_CASES = 2  # for each class, as the inner splits of what is learnt need


def values_in_order(texts):
    """The different values: numbers by size, then all others alphabetically.

    Examples
    --------
    >>> values_in_order(["10", "9", "10"]), values_in_order(["Rome", "Oslo", "9"])
    (['9', '10'], ['9', 'Oslo', 'Rome'])
    """
    found = sorted(set(texts))
    numbers = pd.to_numeric(pd.Series(found, dtype=object), errors="coerce")
    return found if numbers.isna().any() else [found[k] for k in np.argsort(numbers.to_numpy(), kind="stable")]


def number_values(texts):
    """The number of each row's value in the order of `values_in_order`, int64."""
    order = {value: number for number, value in enumerate(values_in_order(texts))}
    return np.array([order[text] for text in texts], np.int64)


def left_out_problems(table, classes, column, by_case=True, show_names=False):
    """Say for `complain` why the values of a column, ``given`` of `table`, cannot each be left out once."""
    texts = read_values(table["given"].to_numpy(object))
    texts.index = table.index
    if problem := without_value(texts, column):
        return [(problem, [])]
    values = values_in_order(texts)
    cases = table["case"].groupby(texts).nunique()[values].tolist()
    if problem := _unfit(values, cases, texts, table["case"], column, by_case, show_names):
        return [(problem, [])]
    shown = hide_lone(values, cases, show_names)
    called = dict(zip(values, shown, strict=True))
    held, problems = texts.map(called).groupby(table["case"]).unique(), []
    if torn := [case for case in held.index if len(held[case]) > 1]:
        named = shown_as(table["case"], show_names)
        what = f"cases have several values of column {column!r}: write one for each case, or name another column"
        what += "" if show_names else NAMED_BY
        problems.append((what, [f"{named[case]} ({', '.join(sorted(held[case]))})" for case in torn]))
    for value in values:
        problems += _lacking(table, classes, column, called[value], (texts == value).to_numpy())
    return problems


def _unfit(values, held, texts, cases, column, by_case, show_names):
    """Why nothing can be left out by a column; empty if it will do."""
    if len(values) == 1:
        return (
            f"column {column!r} holds {values[0]} alone, without which nothing is left to learn from: name another "
            "column, or split with --scheme cv"
        )
    if twins := twins_in_words(values, held, show_names):
        return f"in column {column!r}, {twins}: spell them alike, or give them different names"
    pairs = len(set(zip(texts, cases.astype(str), strict=True)))
    if pairs == len(values) == cases.nunique() > 2:  # each value has one case, and each case one value
        unit = "case" if by_case else "image"
        return f"column {column!r} has a value of its own for each {unit}: --scheme cv splits by {unit}"
    if len(values) > MOST_VALUES:
        some = f" ({listed(values, 4)})" if show_names else ""  # so many may be names of slides or patients
        return (
            f"column {column!r} holds {len(values)} values{some}, and each would be left out once: allowed are "
            f"{MOST_VALUES}; write a column that joins some, or split with --scheme cv"
        )
    return ""


def _lacking(table, classes, column, value, own):
    """The classes that a value lacks, or that too few cases of all other values hold."""
    problems, apart = [], f"of column {column!r}"
    lacking = [name for label, name in enumerate(classes) if not (own & (table["label"] == label)).any()]
    if lacking:
        what = f"{value} {apart} holds no image of {', '.join(lacking)}, so that nothing can be told apart there: "
        problems.append((what + "join it with another value, or leave its images out of DATA", []))
    for label, name in enumerate(classes):
        cases = table.loc[~own & (table["label"] == label).to_numpy(), "case"].nunique()
        if cases < LEAST_CASES:
            held = number_of(cases, "case")
            what = f"without {value} {apart} {name} is in {held}, and choices need {LEAST_CASES}"
            problems.append((f"{what}: join values, or split with --scheme cv", []))
    return problems
