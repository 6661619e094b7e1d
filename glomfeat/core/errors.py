"""What the user can mend: one base class of all errors whose messages were written for the user."""

LOOK = "check that it exists and may be read, and run the same command again"


class UserError(Exception):
    """Something that whoever uses glomfeat can mend: an option, a file, a part of their own.

    The message says what was got, what is allowed and what to do. Every error of glomfeat's own derives from this
    class and, beside it, from the built-in one that it resembles most. Whatever else is raised is a fault of the
    program.

    Examples
    --------
    >>> import glomfeat
    >>> try:
    ...     glomfeat.Phantom(positives=2)
    ... except glomfeat.UserError as error:
    ...     print(error)
    positives is 2: it is a share, above 0 and below 1
    """


class InputError(UserError, ValueError):
    """A value that is not allowed, or a file that does not hold what it should."""


class ChangedError(UserError, OSError):
    """A file that is another one now than when the work began."""


class TakenError(UserError, FileExistsError):
    """A place that holds something else already."""
