"""The columns that a model has learnt from, found by name in another table, whatever else that holds."""

from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches

import pandas as pd

from glomfeat.data.embeddings.named import number_columns
from glomfeat.data.tables.columns import Sorted, label_column
from glomfeat.data.tables.delimited import TableError
from glomfeat.data.tables.levels import without_texts
from glomfeat.data.tables.read import find_names, listed, plain

NOT_READ = "the model does not read it"
SHOWN = 10


@dataclass(frozen=True)
class Learnt:
    """The columns that a model reads, in the model's order.

    Attributes
    ----------
    what : str
        What the rows are, for messages.
    columns : tuple of str
        As the table calls them.
    levels : dict of str to list of str
        For columns of texts, their texts; each becomes a number of the row, 1 where a cell holds it and else 0.

    Examples
    --------
    >>> learnt = Learnt("texture", ("area", "stain"), {"stain": ["HE", "PAS"]})
    >>> learnt.names
    ['area', 'stain=HE', 'stain=PAS']
    """

    what: str
    columns: tuple
    levels: dict = field(default_factory=dict)

    @property
    def names(self):
        """Names of the numbers of a row."""
        return Sorted(self.columns, {}, levels=self.levels).names

    @property
    def is_numbered(self):
        """Whether columns have numbers instead of names."""
        return list(self.columns) == number_columns(len(self.columns))

    def sort(self, frame, asked, where):
        """Find the columns in a table that has a header.

        Parameters
        ----------
        frame : pandas.DataFrame
            The table, or its columns without rows.
        asked : glomfeat.data.tables.columns.Asked
        where : str
            The table, for messages.

        Returns
        -------
        Sorted
            The columns that the model does not read are listed as left out.

        Raises
        ------
        TableError
            A column is missing, is there twice, or holds what can never be numbers; all are named.

        Examples
        --------
        >>> from glomfeat.data.tables.columns import Asked
        >>> frame = pd.DataFrame({"name": ["a"], "note": ["b"], "f1": [1.0], "f0": [2.0]})
        >>> found = Learnt("t", ("f0", "f1")).sort(frame, Asked(), "t.csv")
        >>> found.used, found.left
        (('f0', 'f1'), {'note': 'the model does not read it'})
        """
        told = {*find_names(frame, where, asked.name), label_column(frame, where, asked.label)}
        own, there = set(self.columns), Counter(map(str, frame.columns))
        others = [c for c in map(str, frame.columns) if c not in own and c not in told]
        # pandas appends a number to repeated headers
        twice = [c for c in self.columns if there[c] > 1 or (there[c] and f"{c}.1" in there and f"{c}.1" not in own)]
        self._refuse([c for c in self.columns if not there[c]], twice, others, where)
        self._refuse_others(frame, where)
        left = dict.fromkeys(others, NOT_READ)
        return Sorted(self.columns, left, levels=self.levels)

    def _refuse(self, lacks, twice, others, where):
        """Refuse a table without some columns, or with several of one name."""
        parts = [f"lacks {listed(lacks, SHOWN)}"] if lacks else []
        parts += [f"has {listed(twice, SHOWN)} twice"] if twice else []
        if not parts:
            return
        other = f", and has besides {listed(others, SHOWN)}" if lacks and others else ""
        raise TableError(
            f"{where}: the model reads {len(self.columns)} columns of {self.what} by their names, and the table "
            f"{' and '.join(parts)}{other}: {_nearest(lacks, others)}call each column once, as bundle.json does"
        )

    def _refuse_others(self, frame, where):
        """Refuse columns that hold neither numbers nor texts."""
        wrong = [c for c in self.columns if not _could_be_numbers(frame[c].dtype)]
        if wrong:
            kinds = listed((f"{c} ({frame[c].dtype})" for c in wrong), SHOWN)
            raise TableError(f"{where}: the model reads numbers, and these columns hold none: {kinds}; save numbers")

    def choose(self, named, where):
        """Find the columns among those of rows that hold only numbers.

        Parameters
        ----------
        named : glomfeat.data.embeddings.named.Named
        where : str

        Returns
        -------
        columns : list of int
            Their positions.
        left : dict of str to str

        Raises
        ------
        TableError
            Rows have another width although columns have no names, or lack a column.
        """
        theirs = [*map(str, named.columns)]
        if self.is_numbered and theirs == number_columns(len(theirs)) and len(theirs) != len(self.columns):
            raise TableError(
                f"{where}: its rows hold {len(theirs)} numbers, and the model reads {len(self.columns)} of "
                f"{self.what}: give rows that the same network made"
            )
        own, place = set(self.names), {column: k for k, column in enumerate(theirs)}
        others = [column for column in theirs if column not in own]
        lacks = [column for column in self.names if column not in place]
        self._refuse(without_texts(lacks, self.levels), [], others, where)
        return [place[column] for column in self.names], dict.fromkeys(others, NOT_READ)


def _could_be_numbers(kind):
    if isinstance(kind, pd.CategoricalDtype):
        kind = kind.categories.dtype
    texts = pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind)
    return texts or (pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind))


def _nearest(lacks, others):
    """A hint if a column exists under a similar name; empty if none does."""
    words = {plain(column): column for column in others}
    for column in lacks:
        near = get_close_matches(plain(column), words, n=1, cutoff=0.8)
        if near:
            return f"{words[near[0]]!r} may be {column!r}; "
    return ""
