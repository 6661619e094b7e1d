"""Everything that glomfeat knows about a built-in head, as an entry in the table of heads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glomfeat.models.heads.built_in import Head


def nothing(n_train: int, columns: int) -> int:
    """No memory besides the bytes per value."""
    return 0


@dataclass(frozen=True)
class Codec:
    """How a bundle stores a fitted estimator that skops cannot store.

    Attributes
    ----------
    name : str
        Its name in ``bundle.json``.
    file : str
        The name of the file in the bundle, which ends in ``.json``.
    what : str
        What the file holds, for messages.
    dump : callable
        ``dump(fitted)`` returns bytes.
    load : callable
        ``load(estimator, data, columns, classes)`` returns the new estimator, fitted as `data` says. The data may come
        from a stranger, so it raises an exception if they are inconsistent, and runs no code that they contain.
    """

    name: str
    file: str
    what: str
    dump: Callable[[Any], bytes]
    load: Callable[[Any, bytes, int, int], Any]


@dataclass(frozen=True)
class Entry:
    """Everything that glomfeat knows about a head; the defaults are those of a head of the user's own.

    Attributes
    ----------
    factory : callable or None
        ``factory(seed, reduced)`` returns a new `glomfeat.models.heads.built_in.Head`.
    label : str
        Name in figures and tables of the report.
    sentence : str
        Name in the list of classifiers in the methods paragraph, with how it weights classes and what it chooses from.
    notes : dict of str to str
        Sentences that the methods paragraph adds if any trial has a certain note. Keys are parts of the note that the
        estimator leaves on a trial (its ``note_``).
    bytes_per_value : int
        Measured bytes that a fit takes for each value of the training rows, besides the rows themselves.
    more_bytes : callable
        ``more_bytes(n_train, columns)``: bytes that do not grow in step with the values.
    most_rows : int or None
        Most rows that one fit reads; a larger number is learnt in equal parts.
    types : tuple of str
        Full names of the types in the fitted estimator that a bundle may hold. Only types that are harmless whatever
        their attributes are.
    codec : Codec or None
        Stores it in a bundle; None if skops does.
    """

    factory: Callable[[int, bool], "Head"] | None
    label: str
    sentence: str
    notes: Mapping[str, str] = field(default_factory=dict)
    bytes_per_value: int = 40
    more_bytes: Callable[[int, int], int] = nothing
    most_rows: int | None = None
    types: tuple[str, ...] = ()
    codec: Codec | None = None

    def rows_at_once(self, n_train: int) -> int:
        """How many training rows one fit reads.

        Examples
        --------
        >>> Entry(None, "a", "a", most_rows=100).rows_at_once(150), Entry(None, "a", "a").rows_at_once(150)
        (75, 150)
        """
        return -(-n_train // -(-n_train // self.most_rows)) if self.most_rows else n_train
