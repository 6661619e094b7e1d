"""What a check finds, as text."""

from dataclasses import dataclass

from glomfeat.core.part_errors import MisfitError, PartError


@dataclass(frozen=True)
class Finding:
    """One thing about a part.

    Attributes
    ----------
    status : {"ok", "wrong", "note"}
        A note is for information.
    text : str
        Of what is wrong: what, and what to do.

    Examples
    --------
    >>> str(Finding("note", "it takes 2 s"))
    'note: it takes 2 s'
    """

    status: str
    text: str

    def __str__(self):
        return f"{self.status}: {self.text}"


def wrong(text):
    """What breaks the contract, and what to do."""
    return Finding("wrong", text)


def note(text):
    """For information."""
    return Finding("note", text)


def brief(error):
    """An error in a line.

    Examples
    --------
    >>> brief(ValueError("too few rows"))
    'ValueError: too few rows'
    """
    said = (str(error).splitlines() or [""])[0]
    return said if isinstance(error, PartError | MisfitError) else f"{type(error).__name__}: {said}"


def describe(thing):
    """What something is, for a message.

    Examples
    --------
    >>> describe(None), describe([1]), describe(dict)
    ('None', 'a list', 'the class dict itself')
    """
    if thing is None:
        return "None"
    if isinstance(thing, type):
        return f"the class {thing.__name__} itself"
    name = type(thing).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
