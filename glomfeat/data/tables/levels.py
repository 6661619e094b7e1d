"""Columns of texts that describe images: each text becomes a column of 0 and 1."""

from glomfeat.core.words import number_of

MOST_LEVELS = 10


def why_no_levels(texts, filled, rows):
    """Say why texts do not become columns of 0 and 1, and what to do; empty if they do.

    Parameters
    ----------
    texts : list of str
        The different texts; empty if cells are of several types.
    filled, rows : int
        How many cells are not empty, and how many there are.

    Examples
    --------
    >>> why_no_levels(["HE", "PAS"], 4, 5)
    'it holds texts, but 1 cell is empty: write a text there, such as unknown'
    """
    if not texts:
        return "it holds texts and cells of other types: write all as texts"
    if len(texts) > MOST_LEVELS:
        return (
            f"it holds {len(texts)} different texts, and at most {MOST_LEVELS} become columns of 0 and 1: write "
            "coarser ones"
        )
    if len(texts) == filled:
        return "it holds another text in every row"
    empty = number_of(rows - filled, "cell is", "cells are")
    return f"it holds texts, but {empty} empty: write a text there, such as unknown" if filled < rows else ""


def level_names(column, texts):
    """Name the columns of 0 and 1 of a column of texts.

    Examples
    --------
    >>> level_names("stain", ["HE", "PAS"])
    ['stain=HE', 'stain=PAS']
    """
    return [f"{column}={text}" for text in texts]


def columns_behind(names, levels):
    """The columns that the numbers of a row come from, each once.

    Parameters
    ----------
    names : sequence of str
        Of the numbers, as `level_names` makes them for columns of texts.
    levels : dict of str to list of str
        The texts of these columns.

    Returns
    -------
    list of str

    Examples
    --------
    >>> columns_behind(["area", "stain=HE", "stain=PAS"], {"stain": ["HE", "PAS"]})
    ['area', 'stain']
    """
    of = {name: column for column, texts in levels.items() for name in level_names(column, texts)}
    return list(dict.fromkeys(of.get(name, name) for name in names))


def without_texts(names, levels):
    """Name columns for messages: those of one column of texts together, for a text may be the name of a patient.

    Parameters
    ----------
    names, levels
        As for `columns_behind`.

    Returns
    -------
    list of str

    Examples
    --------
    >>> without_texts(["area", "stain=HE", "stain=PAS"], {"stain": ["HE", "Masson", "PAS"]})
    ['area', 'stain (2 texts)']
    """
    there = set(names)
    counts = {column: len(there.intersection(level_names(column, texts))) for column, texts in levels.items()}
    whole = columns_behind(names, levels)
    return [f"{column} ({number_of(counts[column], 'text')})" if column in counts else column for column in whole]
