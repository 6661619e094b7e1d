"""What a check finds, as text."""

from dataclasses import dataclass

from glomfeat.core.part_errors import MisfitError, PartError


@dataclass(frozen=True)
class Finding:
    """One finding about a part.

    Attributes
    ----------
    status : {"ok", "wrong", "note"}
        A note is for information.
    text : str
        What is found; if something is wrong, also what to do.

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
    """A finding that breaks the contract, with what to do."""
    return Finding("wrong", text)


def note(text):
    """A finding for information only."""
    return Finding("note", text)


def brief(error):
    """An error on one line.

    Examples
    --------
    >>> brief(ValueError("too few rows"))
    'ValueError: too few rows'
    """
    said = (str(error).splitlines() or [""])[0]
    return said if isinstance(error, PartError | MisfitError) else f"{type(error).__name__}: {said}"


def describe(thing):
    """Describe a thing, for a message.

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
