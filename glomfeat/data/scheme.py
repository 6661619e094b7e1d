"""What the name of a scheme says: cases are dealt to folds, held out, or split as a column gives it."""

PREFIX = "given:"


def given_column(scheme):
    """The column that gives the split; empty where cases are dealt.

    Examples
    --------
    >>> given_column("given:fold"), given_column("cv")
    ('fold', '')
    """
    return scheme.removeprefix(PREFIX) if scheme.startswith(PREFIX) else ""


def is_held_out(scheme, folds):
    """Whether each repeat tests one part alone: hold-outs, and given splits that name parts, whose `folds` is 1."""
    return scheme == "holdout" or (bool(given_column(scheme)) and folds == 1)


def tested_folds(scheme, folds):
    """The names of the folds that are tested in each repeat.

    Examples
    --------
    >>> list(tested_folds("cv", 3)), tested_folds("holdout", 5)
    ([0, 1, 2], ['outer-test'])
    """
    return ["outer-test"] if is_held_out(scheme, folds) else range(folds)


def split_in_words(scheme, folds):
    """How cases are split, for a title.

    Examples
    --------
    >>> split_in_words("cv", 5), split_in_words("holdout", 5), split_in_words("given:part", 1)
    ('5 folds', '80:10:10', "the parts of column 'part'")
    """
    column = given_column(scheme)
    if is_held_out(scheme, folds):
        return f"the parts of column {column!r}" if column else "80:10:10"
    return f"{folds} folds" + (f" of column {column!r}" if column else "")
