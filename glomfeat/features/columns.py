"""The columns of features whose names are known, so that groups of them can be told apart."""

from glomfeat.features.table import Table


def known_columns(feature):
    """The names of a feature's columns.

    Parameters
    ----------
    feature : object
        Of `glomfeat.features.make.make_feature`.

    Returns
    -------
    list of str
        Empty where columns have no names.

    Examples
    --------
    >>> from glomfeat.features.make import make_feature
    >>> known_columns(make_feature("shortcut"))[0], known_columns(make_feature("pixels"))
    ('shortcut.width_px', [])
    """
    if isinstance(feature, Table):
        return [str(name) for name in feature.columns]
    if feature.name not in ("classical.v1", "shortcut.v1"):
        return []
    from glomfeat.features.handcrafted.classical import classical_names
    from glomfeat.features.handcrafted.shortcut import shortcut_names

    return classical_names() if feature.name == "classical.v1" else shortcut_names()
