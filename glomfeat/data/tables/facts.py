"""Columns that say what a row belongs to, besides its class: its case, slide, site, and part of a split."""

from glomfeat.data.tables.columns import SITES, SPLITS
from glomfeat.data.tables.read import known_kind, plain


def fact_of(column):
    """What a column says of rows by its header: ``case``, ``slide``, ``site``, ``split``, or nothing.

    Examples
    --------
    >>> fact_of("Patient No."), fact_of("Scanner"), fact_of("set"), fact_of("area"), fact_of("label")
    ('case', 'site', 'split', '', '')
    """
    kind, word = known_kind(column), plain(column)
    if kind in ("case", "slide"):
        return kind
    return "site" if word in SITES else "split" if word in SPLITS else ""


def words_of_options(asked):
    """The columns that options name, such as ``--groups`` and ``--scheme``, as `glomfeat.data.tables.read.plain` words.

    Examples
    --------
    >>> from glomfeat.data.tables.columns import Asked
    >>> sorted(words_of_options(Asked(but=("Part",), uses=(("Grade", "--subgroups groups by it"),))))
    ['grade', 'part']
    """
    return {*map(plain, asked.named), *(plain(column) for column, _ in asked.uses)} - {""}
