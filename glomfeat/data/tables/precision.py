"""Columns whose numbers lose what tells them apart when they become float32."""

import numpy as np

from glomfeat.data.tables.read import listed

AT_ONCE = 256
SAME = 1e-12  # numbers that differ by less, relative to their size, were meant to be equal


def coarse_columns(frame, used):
    """The columns whose numbers differ by so little that float32 rounds them by over a hundredth of their range.

    Parameters
    ----------
    frame : pandas.DataFrame
        All rows, or only the least and the largest number of each column.
    used : sequence of str

    Returns
    -------
    list of str

    Examples
    --------
    >>> import pandas as pd
    >>> coarse_columns(pd.DataFrame({"time": [1_700_000_000, 1_700_000_030], "area": [0.5, 0.7]}), ["time", "area"])
    ['time']
    """
    kinds, found = dict(frame.dtypes), []
    wide = [column for column in used if kinds[column].kind in "iuf" and kinds[column].itemsize == 8]
    for part in (wide[start : start + AT_ONCE] for start in range(0, len(wide), AT_ONCE)):
        block = frame[part].astype(np.float64)
        with np.errstate(over="ignore"):
            loss = (block - block.astype(np.float32)).abs().max()
        span, size = block.max() - block.min(), block.abs().max()
        found += [*span.index[(100 * loss > span) & (span > SAME * size) & np.isfinite(loss)]]  # infinite: refused
    return found


def coarse_in_words(columns, where):
    """Say which columns `coarse_columns` has found, and what to do.

    Parameters
    ----------
    columns : sequence of str
    where : str
        The table or the feature.

    Returns
    -------
    str
    """
    return (
        f"the numbers of {listed(columns)} in {where} differ by so little that 32-bit numbers round them or make them "
        "equal: subtract what they have in common"
    )
