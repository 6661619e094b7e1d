"""Which class is the positive one if the user names none."""

import re

from glomfeat.core.words import as_seen

# of two classes, one of these names, or one that begins with such a word, is not the positive one
NEGATIVE = {
    *("negative", "neg", "normal", "healthy", "benign", "control", "controls", "no", "none", "false", "absent"),
    *("other", "others", "rest", "unremarkable", "nein", "gesund", "unauffällig", "kontrolle", "sain", "sano"),
}
NEGATION = {"non", "not", "without", "kein", "keine", "ohne", "nicht", "sans", "pas", "sin"}


def usual_positive(classes):
    """The class that is the positive one unless the user names another.

    It is the only one that begins with "globally sclerotic", or is GS; of two classes the one called 1, the one beside
    a class of `NEGATIVE` or one that begins with such a word or a `NEGATION`, or the one that the other negates; else
    the last one.

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
    >>> usual_positive(["normal", "not normal"]), usual_positive(["GS glomeruli", "normal glomeruli"])
    ('not normal', 'GS glomeruli')
    >>> usual_positive(["Globally sclerotic: no", "Globally sclerotic: yes"])
    'Globally sclerotic: yes'
    >>> usual_positive(["FSGS", "IgAN", "normal"]), usual_positive(["benign", "normal"])
    ('normal', 'normal')
    """
    bare = [_bare(name) for name in classes]
    sclerotic = [text == "gs" or text.startswith("globallysclerotic") for text in bare]
    if sum(sclerotic) == 1:
        return classes[sclerotic.index(True)]
    if len(classes) != 2:
        return classes[-1]
    if "1" in classes:
        return "1"
    known = [text in NEGATIVE for text in bare]
    begins = [_words(name)[0] in NEGATIVE | NEGATION for name in classes]
    negates = [_negates(one, other) for one, other in zip(bare, bare[::-1], strict=True)]
    for negative in (known, begins, negates):
        if sum(negative) == 1:
            return classes[negative.index(False)]
    return classes[-1]


def _words(name):
    """The words of a class in lower case, without a number in front; a sign at its end is a word."""
    text = re.sub(r"^\d+[\W_]+", "", as_seen(name).casefold()).strip()
    for sign, word in (("+", " positive"), ("-", " negative")):
        text = text.removesuffix(sign) + word * text.endswith(sign)
    return re.split(r"[\W_]+", text.strip())


def _bare(name):
    return "".join(_words(name))


def _negates(bare, other):
    of = re.sub(r"(?<=.)pos(itive)?$", "", other)
    return of != "" and bare in (*(f"{no}{other}" for no in ("no", "non", "not")), f"{of}neg", f"{of}negative")
