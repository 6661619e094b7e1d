r"""Names of strangers' files in lines for people: what a terminal obeys is written out."""

import re

# control characters, line and paragraph separators, what turns the direction of writing, and bytes that are no UTF-8
_OBEYED = "\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_ANY, _BUT_LINES = re.compile(f"[{_OBEYED}]"), re.compile(f"(?![\n\t])[{_OBEYED}]")


def printable(text, lines=False):
    r"""Text whose control characters are written as escapes, so that a name is seen and not obeyed.

    Parameters
    ----------
    text : object
        Its ``str``.
    lines : bool
        Whether the text is several lines, whose ends and tabs are kept.

    Returns
    -------
    str

    Examples
    --------
    >>> print(printable("P1_a\n.png"), printable("\x1b[2J"), printable("a\nb", lines=True).count("\n"))
    P1_a\n.png \x1b[2J 1
    """
    return (_BUT_LINES if lines else _ANY).sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))
