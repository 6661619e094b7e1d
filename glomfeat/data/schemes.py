"""How cases are split: a class for each scheme, in one table."""

# What deals folds is imported only when needed: a study's options name all schemes, and ``--help`` must answer at once.

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from glomfeat.core.arms import StudyError
from glomfeat.core.words import joined, number_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from glomfeat.data.manifest import Manifest

HELD_OUT = ("outer-test",)


class Scheme(Protocol):
    """What every split scheme has.

    Attributes
    ----------
    folds : int
        What ``--folds`` says, or the number that the data gives.
    column : str
        The column of the data that the split is read from; it becomes ``given`` of the manifest's table. Empty if cases
        are dealt.
    written : str
        How it is asked for: a word, or ``word:COLUMN``.
    meaning : str
        What it is, for the help.
    least_folds : int
        The smallest allowed ``--folds``.
    dealt_anew : bool
        Whether another repeat is another split.
    tested : sequence of int or str
        The folds that are tested in each repeat: numbers, or ``outer-test``.
    trained_share : float
        The part of the images that a trial trains on.
    names_inner_valid : bool
        Whether the scheme has its own part to choose by, so that none is taken from the training images.
    elsewhere : bool
        Whether what is tested comes from another place than all training data. The tables then name the places, and
        folds never serve each other as inner folds.
    title : str
        How cases are split, as a title.
    """

    written: ClassVar[str]
    meaning: ClassVar[str]
    least_folds: ClassVar[int]
    dealt_anew: ClassVar[bool]
    elsewhere: ClassVar[bool]

    @property
    def folds(self) -> int: ...

    @property
    def column(self) -> str: ...

    @property
    def tested(self) -> Sequence[int | str]: ...

    @property
    def trained_share(self) -> float: ...

    @property
    def names_inner_valid(self) -> bool: ...

    @property
    def title(self) -> str: ...

    def problems(
        self, table: "pd.DataFrame", classes: Sequence[str], by_case: bool, show_names: bool = False
    ) -> list[tuple[str, list[str]]]:
        """Why a manifest's table cannot be split this way, as for `glomfeat.data.problems.complain`."""

    def count_folds(self, manifest: "Manifest") -> int:
        """How many folds a manifest gives; `folds` if cases are dealt."""

    def deal(self, manifest: "Manifest", repeats: int, seed: int) -> "list[np.ndarray]":
        """The fold of each row, once for each repeat.

        Numbers are folds that are tested in turn, and that serve as each other's inner folds if there are enough of
        them. The names ``train``, ``outer-test`` and ``inner-valid``, if there is one, form a hold-out.
        """

    def inner_fits(self, holders: int) -> float:
        """How many inner fits a trial's choices take, given how many cases hold the rarest class."""

    def sentence(self, unit: str, repeats: int, parts: set[int | str]) -> str:
        """How the data were split, for a methods section: by ``case`` or ``image``, into which parts; no full stop."""


class _Dealt:
    """What schemes that deal cases into parts of sizes `shares` have in common."""

    least_folds: ClassVar[int] = 2
    dealt_anew: ClassVar[bool] = True
    elsewhere: ClassVar[bool] = False
    called: ClassVar[str] = "folds"
    folds: int

    @property
    def shares(self) -> Sized:
        raise NotImplementedError

    def problems(
        self, table: "pd.DataFrame", classes: Sequence[str], by_case: bool, show_names: bool = False
    ) -> list[tuple[str, list[str]]]:
        from glomfeat.data.problems import case_problems

        return case_problems(table, classes, len(self.shares), by_case, show_names, self.called)

    def count_folds(self, manifest: "Manifest") -> int:
        return self.folds


class _InTurn:
    """What schemes that test all folds in turn, each with models of all the others, have in common."""

    names_inner_valid: ClassVar[bool] = False
    folds: int

    @property
    def tested(self) -> Sequence[int | str]:
        return range(self.folds)

    @property
    def trained_share(self) -> float:
        return 1 - 1 / self.folds


@dataclass(frozen=True)
class CrossValidation(_InTurn, _Dealt):
    """Grouped stratified k-fold: every case is tested once in each repeat."""

    folds: int
    column: str = ""

    written: ClassVar[str] = "cv"
    meaning: ClassVar[str] = "grouped stratified k-fold"

    @property
    def title(self) -> str:
        return f"{self.folds} folds"

    @property
    def shares(self) -> list[float]:
        """The part of the images in each fold."""
        return [1 / self.folds] * self.folds

    def deal(self, manifest: "Manifest", repeats: int, seed: int) -> "list[np.ndarray]":
        return _dealt(manifest, self.shares, repeats, seed)

    def inner_fits(self, holders: int) -> float:
        from glomfeat.data.splits import expected_inner_fits

        return expected_inner_fits(self.folds, 1 / self.folds, holders)

    def sentence(self, unit: str, repeats: int, parts: set[int | str]) -> str:
        folds = f"{self.folds}-fold cross-validation by {unit}, stratified by class"
        return f"Performance was estimated by {folds}{_times(repeats, unit)}"


@dataclass(frozen=True)
class Holdout(_Dealt):
    """Cases dealt 80:10:10 to train, inner-valid and outer-test, as in the original study."""

    folds: int
    column: str = ""

    written: ClassVar[str] = "holdout"
    meaning: ClassVar[str] = "repeated 80:10:10 as in the original study"
    tested: ClassVar[Sequence[str]] = HELD_OUT
    names_inner_valid: ClassVar[bool] = True
    shares: ClassVar[dict[str, float]] = {"outer-test": 0.1, "inner-valid": 0.1, "train": 0.8}
    trained_share: ClassVar[float] = shares["train"]
    title: ClassVar[str] = "80:10:10"
    called: ClassVar[str] = "parts"

    def deal(self, manifest: "Manifest", repeats: int, seed: int) -> "list[np.ndarray]":
        import numpy as np

        names = np.array(list(self.shares))
        return [names[part] for part in _dealt(manifest, list(self.shares.values()), repeats, seed)]

    def inner_fits(self, holders: int) -> float:
        return 1

    def sentence(self, unit: str, repeats: int, parts: set[int | str]) -> str:
        there = "training, inner-valid and outer-test parts"
        return f"Data were split 80:10:10 into {there} by {unit}{_times(repeats, unit)}"


@dataclass(frozen=True)
class Given:
    """A split that a column gives: parts named train, val and test, for which `folds` is 1, or numbers of folds."""

    folds: int
    column: str
    split_cases: bool = False  # whether a case may be on several sides; tables and report then say so

    written: ClassVar[str] = "given:COLUMN"
    meaning: ClassVar[str] = (
        "the split in a column of the table (given:split if in folders), as train, val and test or as fold numbers"
    )
    least_folds: ClassVar[int] = 1
    dealt_anew: ClassVar[bool] = False
    elsewhere: ClassVar[bool] = False

    @property
    def names_inner_valid(self) -> bool:
        return self.folds == 1

    @property
    def tested(self) -> Sequence[int | str]:
        return HELD_OUT if self.folds == 1 else range(self.folds)

    @property
    def trained_share(self) -> float:
        return Holdout.trained_share if self.folds == 1 else 1 - 1 / self.folds

    @property
    def title(self) -> str:
        parts = "the parts" if self.folds == 1 else f"{self.folds} folds"
        return f"{parts} of column {self.column!r}"

    def problems(
        self, table: "pd.DataFrame", classes: Sequence[str], by_case: bool, show_names: bool = False
    ) -> list[tuple[str, list[str]]]:
        from glomfeat.data.given import given_problems

        return given_problems(table, classes, self.column, self.split_cases, show_names)

    def count_folds(self, manifest: "Manifest") -> int:
        from glomfeat.data.given import count_folds, read_parts

        return count_folds(read_parts(manifest.table["given"], self.column))

    def deal(self, manifest: "Manifest", repeats: int, seed: int) -> "list[np.ndarray]":
        from glomfeat.data.given import read_parts
        from glomfeat.data.splits import SplitError

        if (found := self.count_folds(manifest)) != self.folds:
            gone = f"{number_of(found, 'fold')} and {self.folds} were read: all images of one are gone"
            raise SplitError(f"column {self.column!r} gives {gone}")
        return [read_parts(manifest.table["given"], self.column)] * repeats

    def inner_fits(self, holders: int) -> float:
        from glomfeat.data.splits import expected_inner_fits

        tested = Holdout.shares["outer-test"] if self.folds == 1 else 1 / self.folds
        return expected_inner_fits(self.folds, tested, holders)

    def sentence(self, unit: str, repeats: int, parts: set[int | str]) -> str:
        if self.folds > 1:
            of_column = f"the {self.folds} folds that column {self.column!r} of the data gives"
            return f"Performance was estimated by cross-validation over {of_column}"
        there = "training, inner-valid and outer-test" if "inner-valid" in parts else "training and outer-test"
        return f"Data were split into {there} parts as column {self.column!r} of the data gives"


@dataclass(frozen=True)
class LeaveOut(_InTurn):
    """Each value of a column is tested once, by models of all the others; inner folds are dealt by case."""

    folds: int
    column: str

    written: ClassVar[str] = "leave-out:COLUMN"
    meaning: ClassVar[str] = "each value of a column (site, scanner, stain, year) tested once, by models of the others"
    least_folds: ClassVar[int] = 1
    dealt_anew: ClassVar[bool] = False
    elsewhere: ClassVar[bool] = True

    @property
    def title(self) -> str:
        return f"each of the {self.folds} values of column {self.column!r} left out once"

    def problems(
        self, table: "pd.DataFrame", classes: Sequence[str], by_case: bool, show_names: bool = False
    ) -> list[tuple[str, list[str]]]:
        from glomfeat.data.left_out import left_out_problems

        return left_out_problems(table, classes, self.column, by_case, show_names)

    def count_folds(self, manifest: "Manifest") -> int:
        from glomfeat.data.tables.read import read_values

        return read_values(manifest.table["given"].to_numpy(object)).nunique()

    def deal(self, manifest: "Manifest", repeats: int, seed: int) -> "list[np.ndarray]":
        from glomfeat.data.left_out import number_values
        from glomfeat.data.splits import SplitError
        from glomfeat.data.tables.read import read_values

        if (found := self.count_folds(manifest)) != self.folds:
            gone = f"{number_of(found, 'value')} and {self.folds} were read: all images of one are gone"
            raise SplitError(f"column {self.column!r} has {gone}")
        return [number_values(read_values(manifest.table["given"].to_numpy(object)))] * repeats

    def inner_fits(self, holders: int) -> float:
        from glomfeat.data.splits import expected_inner_fits

        return expected_inner_fits(1, 1 / self.folds, holders)  # no fold serves another as an inner fold

    def sentence(self, unit: str, repeats: int, parts: set[int | str]) -> str:
        values = f"each of the {self.folds} values of column {self.column!r} of the data"
        return f"Performance was estimated by leaving out {values} once, to be tested by models of all other {unit}s"


SCHEMES = {one.written: one for one in (CrossValidation, Holdout, LeaveOut, Given)}


def find_scheme(text: str, folds: int) -> Scheme:
    """Find the scheme that a text asks for.

    Parameters
    ----------
    text : str
        A key of `SCHEMES`, with the name of a column in place of ``COLUMN``.
    folds : int

    Raises
    ------
    StudyError
        There is no such scheme; all allowed ones are listed.

    Examples
    --------
    >>> find_scheme("cv", 5).title, find_scheme("holdout", 5).tested, find_scheme("given:part", 1).column
    ('5 folds', ('outer-test',), 'part')
    """
    name, colon, column = text.partition(":")
    make = SCHEMES.get(f"{name}:COLUMN" if colon else name)
    if make is None or (colon and not column):
        raise StudyError(f"--scheme is {text!r}: allowed are {joined(SCHEMES)}")
    return make(folds, column)


def schemes_in_words() -> str:
    """Describe all schemes, for the help.

    Examples
    --------
    >>> schemes_in_words().partition(";")[0]
    'cv, grouped stratified k-fold'
    """
    *others, last = (f"{written}, {scheme.meaning}" for written, scheme in SCHEMES.items())
    return f"{'; '.join(others)}; or {last}."


def _dealt(manifest: "Manifest", shares: Sequence[float], repeats: int, seed: int) -> "list[np.ndarray]":
    from glomfeat.core.seeds import seed_for
    from glomfeat.data.splits import deal

    seeds = (seed_for(seed, "folds", repeat) for repeat in range(repeats))
    return [deal(manifest.labels, manifest.cases, shares, one) for one in seeds]


def _times(repeats: int, unit: str) -> str:
    return f", repeated {repeats} times with {unit}s dealt anew" if repeats > 1 else ""
