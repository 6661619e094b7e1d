"""Errors that the user can fix: one base class for all whose messages were written for the user."""

LOOK = "check that it exists and may be read, and run the same command again"


class UserError(Exception):
    """An error that whoever uses glomfeat can fix: an option, a file, a part of their own.

    The message says what was got, what is allowed and what to do. Every error of glomfeat's own derives from this class
    and from the built-in one that it resembles most. Anything else that is raised is a bug in the program.

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
    """A value is not allowed, or a file does not hold what it should."""


class ChangedError(UserError, OSError):
    """A file that has changed since the work began."""


class TakenError(UserError, FileExistsError):
    """A place that already holds something else."""
