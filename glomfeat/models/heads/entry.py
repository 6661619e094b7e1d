"""What the toolkit knows of a built-in head, in one place: an entry of the table of heads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glomfeat.models.heads.built_in import Head


def nothing(n_train: int, columns: int) -> int:
    """No bytes that do not go with the values."""
    return 0


@dataclass(frozen=True)
class Codec:
    """How a bundle stores a fitted estimator that skops cannot store.

    Attributes
    ----------
    name : str
        As ``bundle.json`` says it.
    file : str
        The name of the file in the bundle, which ends in ``.json``.
    what : str
        What the file holds, for messages.
    dump : callable
        ``dump(fitted)`` returns bytes.
    load : callable
        ``load(estimator, data, columns, classes)`` returns the estimator, which is new, fitted as `data` says. The
        data may come from a stranger: it raises an exception where they do not fit together, and runs no code of
        theirs.
    """

    name: str
    file: str
    what: str
    dump: Callable[[Any], bytes]
    load: Callable[[Any, bytes, int, int], Any]


@dataclass(frozen=True)
class Entry:
    """What the toolkit knows of a head; the defaults are those of a head of one's own.

    Attributes
    ----------
    factory : callable or None
        ``factory(seed, reduced)`` returns a new `glomfeat.models.heads.built_in.Head`.
    label : str
        In figures and tables of the report.
    sentence : str
        In the sentence of the methods paragraph that lists the classifiers.
    notes : dict of str to str
        By a part of the note that the estimator leaves on a trial (its ``note_``), what the methods paragraph says
        further where any trial has it.
    bytes_per_value : int
        Measured bytes for each value of the training rows that a fit takes beside the rows themselves.
    more_bytes : callable
        ``more_bytes(n_train, columns)``: bytes that do not go with the values.
    most_rows : int or None
        Rows that one fit reads at the most; more are learnt in equal parts.
    types : tuple of str
        Full names of the types in the fitted estimator that a bundle may hold. Only types that harm nobody whatever
        their attributes are.
    codec : Codec or None
        What stores it in a bundle; None for skops.
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
        """How many of the training rows one fit reads.

        Examples
        --------
        >>> Entry(None, "a", "a", most_rows=100).rows_at_once(150), Entry(None, "a", "a").rows_at_once(150)
        (75, 150)
        """
        return -(-n_train // -(-n_train // self.most_rows)) if self.most_rows else n_train
