"""Decimal signs in text tables: commas are converted, and numbers that may be thousands are found."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

ROWS_FIRST = 100
OTHER, NAMES = {",": ".", ".": ","}, {",": "commas", ".": "points"}
ONE_SIGN = "write all numbers with one decimal sign, and thousands without a sign"
EXPONENT = r"(?:[eE][+-]?\d+)?"
SHAPE = re.compile(
    r"(?P<either>[+-]?[1-9]\d{0,2}[,.]\d{3})"  # decimals or thousands
    rf"|(?P<whole>[+-]?\d+{EXPONENT})"
    rf"|(?P<comma>[+-]?(?:\d{{1,3}}(?:\.\d{{3}})+|\d*),\d+{EXPONENT})"
    rf"|(?P<point>[+-]?(?:\d{{1,3}}(?:,\d{{3}})+|\d*)\.\d+{EXPONENT})"
)


@dataclass(frozen=True)
class Seen:
    """What the cells of a column of numbers tell about decimal signs.

    Attributes
    ----------
    sure : frozenset of str
        The signs that must be decimal signs.
    either : dict of str to str
        By sign, the first cell that holds thousands if it is not a decimal sign.
    whole : str
        The first cell without any sign; empty if there is none.
    """

    sure: frozenset
    either: dict
    whole: str


def decide_decimals(frame, text, separator, texts_of, numbers=()):
    """Convert numbers with decimal commas, in place, and find those of which it is not clear what they are.

    Parameters
    ----------
    frame : pandas.DataFrame
        As pandas reads it, so that numbers with decimal points are numbers.
    text : collection of str
        Columns that are left as they are.
    separator : str
        What stands between columns; semicolons are written where the comma is the decimal sign.
    texts_of : callable
        ``texts_of(positions)`` reads some columns again, as they are written.
    numbers : collection of str
        Those of `text` that may be used as numbers, and are looked at like all other columns.

    Returns
    -------
    converted : bool
        Whether there are decimal commas.
    unclear : dict of str to (str, str, str)
        By column, such a cell, why it is not clear what it is, and what to do.
    """
    kinds, text = [*zip(frame.columns, frame.dtypes, strict=True)], {*text}
    names = text - {*numbers}
    floats = [place for place, (column, kind) in enumerate(kinds) if kind.kind == "f" and column not in text]
    maybe, seen, converted = _maybe_thousands(frame, floats), {}, {}
    for column, kind in kinds:
        if column in names or pd.api.types.is_numeric_dtype(kind):
            continue
        cells = frame[column].dropna().astype(str)
        if found := look_at_cells(cells.tolist()):
            seen[column] = found
            commas = "," in found.sure | found.either.keys()
            converted |= {column: cells} if commas and column not in text else {}
    sure = {sign for found in seen.values() for sign in found.sure} | ({"."} if len(maybe) < len(floats) else set())
    if maybe and sure != {"."}:
        for place, cells in zip(maybe, texts_of(maybe), strict=True):
            if found := look_at_cells(cells[frame.iloc[:, place].notna().to_numpy()].tolist()):
                seen[kinds[place][0]] = found
                sure |= found.sure
    whys = {column: why_unclear(found, sure, separator) for column, found in seen.items()}
    converted = {column: _with_points(cells, frame.index) for column, cells in converted.items()}
    converted = {column: values for column, values in converted.items() if values is not None}
    for column, values in converted.items():
        frame[column] = values
    return bool(converted), {column: why for column, why in whys.items() if why}


def _maybe_thousands(frame, floats):
    """The columns among some of floats that hold only numbers such as 1.234 and 987."""
    first = frame.iloc[:ROWS_FIRST, floats].to_numpy()
    places = [place for place, fits in zip(floats, _three_decimals(first).all(axis=0), strict=True) if fits]
    return [place for place in places if _three_decimals(frame.iloc[:, place].to_numpy()).all()]


def _three_decimals(values):
    size = np.abs(values)
    fractions = (size >= 1) & (size < 1000) & (np.abs(np.round(values, 3) - values) < 1e-9)
    return ~np.isfinite(values) | (values == np.round(values)) | fractions


def _kind(found):
    """The name of the shape of a cell, or its sign if it may hold thousands."""
    return found.lastgroup if found.lastgroup != "either" else "," if "," in found[0] else "."


def look_at_cells(cells):
    """What the cells of a column tell about decimal signs; None if fewer than half hold numbers.

    Parameters
    ----------
    cells : list of str

    Returns
    -------
    Seen or None

    Examples
    --------
    >>> look_at_cells(["1.500,25", "1.234", "987"])
    Seen(sure=frozenset({','}), either={'.': '1.234'}, whole='987')
    """
    first, count = {}, 0
    for cell in map(str.strip, cells):
        if found := SHAPE.fullmatch(cell):
            count += 1
            first.setdefault(_kind(found), cell)
    if not count or count < len(cells) / 2:
        return None
    return Seen(
        frozenset(sign for sign, kind in ((",", "comma"), (".", "point")) if kind in first),
        {sign: first[sign] for sign in OTHER if sign in first},
        first.get("whole", ""),
    )


def why_unclear(seen, sure, separator):
    """Say why it is not clear whether a cell of a column is a thousand times what it seems.

    Parameters
    ----------
    seen : Seen
    sure : set of str
        The decimal signs of the whole table, as far as they are certain.
    separator : str
        As for `decide_decimals`.

    Returns
    -------
    (str, str, str) or None
        The cell, the reason, and what to do.

    Examples
    --------
    >>> why_unclear(Seen(frozenset(), {".": "1.234"}, "987"), {","}, ";")[:2]
    ('1.234', 'other cells have decimal commas')
    >>> why_unclear(Seen(frozenset(), {".": "1.234"}, "987"), set(), ";")
    ('1.234', "'987' has no decimals", 'write thousands without a sign, or all decimals (987.0)')
    >>> why_unclear(Seen(frozenset(), {".": "1.234"}, "987"), {"."}, ";")
    """
    for sign, cell in seen.either.items():
        other = OTHER[sign]
        if other in seen.sure or (other in seen.either and sign not in seen.sure):
            return cell, f"other cells of the column have {NAMES[other]}", ONE_SIGN
        if sign in seen.sure or sure == {sign}:
            continue
        if sign == "," and sure != {other} and (separator == ";" or (sure and not seen.whole)):
            continue  # points elsewhere may be those of dates and times
        if sure:
            return cell, f"other cells have decimal {NAMES[other]}", ONE_SIGN
        if seen.whole:
            remedy = f"write thousands without a sign, or all decimals ({seen.whole}{sign}0)"
            return cell, f"{seen.whole!r} has no decimals", remedy
    return None


def _with_points(cells, index):
    """The cells of a column with points for decimal commas; None if fewer than half are numbers of that kind."""
    plain, numbers = [], 0
    for cell in cells:
        found = SHAPE.fullmatch(cell.strip())
        is_number = found is not None and _kind(found) in (",", "comma", "whole")
        numbers += is_number
        plain.append(cell.replace(".", "").replace(",", ".") if is_number else cell)
    if numbers < len(plain) / 2:
        return None
    whole = pd.Series(plain, cells.index, dtype=object).reindex(index)
    return pd.to_numeric(whole) if numbers == len(plain) else whole
