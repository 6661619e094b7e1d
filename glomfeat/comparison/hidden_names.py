"""Tables whose cells hold names of images and cases, but which show pseudonyms."""

import pandas as pd

from glomfeat.data.cases import pseudonyms
from glomfeat.results.calls import image_names

HIDDEN = "(not shown)"


class NamesHidden(pd.DataFrame):
    """A table that is shown and printed with pseudonyms instead of names; its cells hold the names."""

    _metadata = ["_shown_as"]  # noqa: RUF012 - pandas copies the attributes named here to derived tables
    _shown_as: dict = {}  # noqa: RUF012

    @property
    def _constructor(self):
        return NamesHidden

    def _shown(self):
        plain, index = pd.DataFrame(self), [name for name in self.index.names if name in ("name", "case")]
        if index:
            plain = plain.reset_index()
        for column in {"name", "case"} & set(plain.columns):
            plain[column] = plain[column].map(self._shown_as.get(column, {})).fillna(HIDDEN)
        return plain.set_index(index) if index else plain

    def __repr__(self):
        return repr(self._shown())

    def _repr_html_(self):
        return self._shown()._repr_html_()


def hide_names(table, manifest):
    """Make a table show pseudonyms in its columns ``name`` and ``case``.

    Parameters
    ----------
    table : pandas.DataFrame
    manifest : Manifest
        Of all images.

    Returns
    -------
    NamesHidden
    """
    found, cases = NamesHidden(table), manifest.table["case"]
    names = dict(zip(manifest.table["name"], image_names(manifest), strict=True))
    found._shown_as = {"name": names, "case": pseudonyms(cases)}
    return found
