"""Which class is the positive one if the user names none."""

import re

from glomfeat.core.words import as_seen

# of two classes, one of these names is not the positive one
NEGATIVE = {
    *("negative", "neg", "normal", "healthy", "benign", "control", "no", "none", "false", "absent"),
    *("other", "others", "rest", "non"),
}


def usual_positive(classes):
    """The class that is the positive one unless the user names another.

    It is one that begins with "globally sclerotic", or GS; of two classes the one called 1, the one that the other
    negates, or the one beside a class of `NEGATIVE`; else the last one.

    Parameters
    ----------
    classes : sequence of str
        In order.

    Returns
    -------
    str

    Examples
    --------
    >>> usual_positive(["Globally sclerotic", "Normal"]), usual_positive(["GS", "SS", "none"])
    ('Globally sclerotic', 'GS')
    >>> usual_positive(["crescent", "no crescent"]), usual_positive(["C4d", "C4d-negative"])
    ('crescent', 'C4d')
    >>> usual_positive(["C4d+", "C4d-"]), usual_positive(["HLA_neg", "HLA_pos"])
    ('C4d+', 'HLA_pos')
    >>> usual_positive(["0_sclerotic", "1_normal"]), usual_positive(["1", "absent"])
    ('0_sclerotic', '1')
    >>> usual_positive(["FSGS", "IgAN", "normal"]), usual_positive(["benign", "normal"])
    ('normal', 'normal')
    """
    bare = [_bare(name) for name in classes]
    for name, text in zip(classes, bare, strict=True):
        if text == "gs" or text.startswith("globallysclerotic"):
            return name
    if len(classes) != 2:
        return classes[-1]
    if "1" in classes:
        return "1"
    negates = [_negates(one, other) for one, other in zip(bare, bare[::-1], strict=True)]
    for negative in (negates, [text in NEGATIVE for text in bare]):
        if sum(negative) == 1:
            return classes[negative.index(False)]
    return classes[-1]


def _bare(name):
    """Letters and digits of a class, in one case, without a number in front; signs at its end are words."""
    text = re.sub(r"^\d+[\W_]+", "", as_seen(name).casefold()).strip()
    for sign, word in (("+", "positive"), ("-", "negative")):
        text = text.removesuffix(sign) + word * text.endswith(sign)
    return re.sub(r"[\W_]", "", text)


def _negates(bare, other):
    of = re.sub(r"(?<=.)pos(itive)?$", "", other)
    return of != "" and bare in (*(f"{no}{other}" for no in ("no", "non", "not")), f"{of}neg", f"{of}negative")
