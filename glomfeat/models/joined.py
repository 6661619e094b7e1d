"""Joined columns as numbers next to those of a feature, by statistics of the rows that a model learns from alone."""

from dataclasses import dataclass

import numpy as np

from glomfeat.data.joined import Joined


@dataclass(frozen=True)
class OfNumbers:
    """A column of numbers, filled and scaled to mean 0 and variance 1.

    Attributes
    ----------
    median : float
        Replaces missing values; NaN if no learnt row has a value, in which case the column says nothing.
    mean, scale : float
        Of the filled values.
    indicated : bool
        Whether a second column of 0 and 1 marks missing values, which it does if a learnt row lacks one.
    """

    median: float
    mean: float
    scale: float
    indicated: bool

    def transform(self, column):
        """One or two columns of float32."""
        missing, values = column.missing, column.values
        if np.isnan(self.median):
            found = np.zeros(len(values))
        else:
            found = (np.where(missing, self.median, values) - self.mean) / self.scale
        return np.column_stack([found, missing] if self.indicated else [found]).astype(np.float32)


@dataclass(frozen=True)
class OfTexts:
    """A column of texts: a column of 0 and 1 for each text in the learnt rows; any other text is 0 in all of them.

    Attributes
    ----------
    levels : tuple of str
        The texts, in order.
    """

    levels: tuple

    def transform(self, column):
        """A column of float32 for each level."""
        levels, found = np.array(self.levels), np.zeros((len(column.values), len(self.levels)), np.float32)
        place = np.minimum(np.searchsorted(levels, column.values), len(levels) - 1)
        found[np.arange(len(found)), place] = levels[place] == column.values
        return found


@dataclass(frozen=True)
class Encoder:
    """Turns joined columns into numbers.

    Attributes
    ----------
    parts : tuple of OfNumbers or OfTexts
        One for each column.
    """

    parts: tuple

    @property
    def width(self):
        """How many numbers a row has."""
        return sum(1 + part.indicated if isinstance(part, OfNumbers) else len(part.levels) for part in self.parts)

    def transform(self, joined):
        """The numbers of joined columns: float32, shape (n, width).

        Parameters
        ----------
        joined : glomfeat.data.joined.Joined
            The same columns.
        """
        return np.hstack([part.transform(column) for part, column in zip(self.parts, joined.columns, strict=True)])


def fit_encoder(joined: Joined, train):
    """Find how joined columns become numbers.

    Parameters
    ----------
    joined : glomfeat.data.joined.Joined
    train : ndarray of int64
        The only rows that are read.

    Returns
    -------
    Encoder

    Examples
    --------
    >>> from glomfeat.data.joined import Column
    >>> joined = Joined((Column("age", np.array([40, 60, np.nan])), Column("sex", np.array(["F", "M", "X"]))))
    >>> fit_encoder(joined, np.array([0, 1])).transform(joined).tolist()
    [[-1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    return Encoder(tuple(_fit(column, train) for column in joined.columns))


def _fit(column, train):
    values, missing = column.values[train], column.missing[train]
    if not column.is_number:
        return OfTexts(tuple(np.unique(values).tolist()))
    if missing.all():
        return OfNumbers(float("nan"), 0.0, 1.0, True)
    median = float(np.median(values[~missing]))
    filled = np.where(missing, median, values)
    spread = float(filled.std())
    # means are rounded: equal values may differ from their mean in the last digits, which are no signal
    same = spread <= 10 * np.finfo(float).eps * np.abs(filled).max()
    return OfNumbers(median, float(filled.mean()), 1.0 if same else spread, bool(missing.any()))


def unseen_in_words(joined, train, test):
    """Notes on columns in which tested rows have texts that no training row has, with the number of such rows.

    Parameters
    ----------
    joined : glomfeat.data.joined.Joined
    train, test : ndarray of int64

    Returns
    -------
    list of str

    Examples
    --------
    >>> from glomfeat.data.joined import Column
    >>> unseen_in_words(Joined((Column("sex", np.array(["F", "M", "X"])),)), np.array([0, 1]), np.array([2]))
    ["joined column sex: 1 tested image has a value that no training image has: 0 in all of the column's numbers"]
    """
    notes = []
    for column in joined.columns:
        if column.is_number:
            continue
        count = int((~np.isin(column.values[test], column.values[train])).sum())
        if count:
            have = f"{count} tested images have" if count > 1 else "1 tested image has"
            notes.append(
                f"joined column {column.name}: {have} a value that no training image has: 0 in all of the column's "
                "numbers"
            )
    return notes


@dataclass(frozen=True)
class Behind:
    """A reducer that leaves the first columns, which are joined ones that it knows nothing of, as they are.

    Attributes
    ----------
    reducer : AsIs, Linear or Fitted
        One of `glomfeat.models.reducers.kept`.
    ahead : int
        How many columns are joined.
    """

    reducer: object
    ahead: int

    @property
    def stored(self):
        """As in the reducer."""
        return self.reducer.stored

    def transform(self, rows):
        """The joined columns followed by the reduced rows: float32."""
        rest = self.reducer.transform(rows[:, self.ahead :])
        return np.hstack([np.asarray(rows[:, : self.ahead], np.float32), rest])

    def first(self, k):
        """As in `glomfeat.models.reducers.kept.AsIs`."""
        return Behind(self.reducer.first(k), self.ahead)
