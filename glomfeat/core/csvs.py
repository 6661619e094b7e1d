"""Read CSV files, with every number exactly as it was written."""

import pandas as pd

from glomfeat.core.words import from_spreadsheets

# Before 3.1, pandas errs in the last digit of most numbers unless it is asked not to; since then it never does, and
# warns if it is asked.
EXACT = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}


def read_csv(path, **how):
    r"""Read a table that glomfeat wrote, without the apostrophes that guard its texts.

    Parameters
    ----------
    path : path-like or file
    **how
        As for `pandas.read_csv`.

    Returns
    -------
    pandas.DataFrame

    Examples
    --------
    >>> import io
    >>> read_csv(io.StringIO("name,score\n'=a,0.30000000000000004")).to_numpy().tolist()
    [['=a', 0.30000000000000004]]
    """
    return from_spreadsheets(pd.read_csv(path, **EXACT, **how))
