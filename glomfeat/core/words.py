"""Words for messages: numbers with their nouns, and strangers' file names that are shown and not obeyed."""

import re
import unicodedata

# control characters, line and paragraph separators, what changes the direction of writing, bytes that are not UTF-8
_OBEYED = "\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_ANY, _BUT_LINES = re.compile(f"[{_OBEYED}]"), re.compile(f"(?![\n\t])[{_OBEYED}]")


# also after apostrophes, so that those put before formulas can be removed again
FORMULA = re.compile(r"'*[=+@\t\r-]")


def number_of(number, one, more=None):
    """A number in figures, with its noun.

    Examples
    --------
    >>> number_of(1, "image"), number_of(0, "case"), number_of(2, "class", "classes")
    ('1 image', '0 cases', '2 classes')
    """
    return f"{number} {one if number == 1 else more or one + 's'}"


def joined(names, by="and"):
    """Join names as prose lists them.

    Examples
    --------
    >>> joined(["site"]), joined(["site", "age"], "or"), joined(["site", "age", "stain"])
    ('site', 'site or age', 'site, age and stain')
    """
    *first, last = map(str, names)
    return f"{', '.join(first)} {by} {last}" if first else last


def capital(text):
    """A text that begins with a capital, like a sentence.

    Examples
    --------
    >>> capital("two CNNs"), capital("")
    ('Two CNNs', '')
    """
    return text[:1].upper() + text[1:]


def as_seen(text):
    r"""A text without characters that are never seen, such as a blank without width.

    Examples
    --------
    >>> as_seen("P1\u200b"), as_seen("caf\u00e9 1")
    ('P1', 'caf\xe9 1')
    """
    return text if text.isascii() else "".join(one for one in text if unicodedata.category(one) != "Cf")


def markdown_table(rows, align="l"):
    r"""A table in Markdown.

    Parameters
    ----------
    rows : list of list of str
        Its cells, starting with the headings.
    align : str
        Where the texts of the first columns stand, l for left and r for right; those of further ones stand right.

    Returns
    -------
    str

    Examples
    --------
    >>> print(markdown_table([["arm", "AUROC"], ["a|b", "0.9"]]))
    | arm | AUROC |
    |---|---:|
    | a\|b | 0.9 |
    """
    head, *rest = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    rule = "".join("|---" if side == "l" else "|---:" for side in align.ljust(len(rows[0]), "r"))
    return "\n".join([head, f"{rule}|", *rest])


def for_spreadsheets(table):
    r"""Guard the texts of a table from spreadsheets: those that begin like a formula get an apostrophe in front.

    Parameters
    ----------
    table : pandas.DataFrame

    Returns
    -------
    pandas.DataFrame
        Numbers are left as they are.

    Examples
    --------
    >>> import pandas as pd
    >>> for_spreadsheets(pd.DataFrame({"name": ["=cmd|' /C calc'!A0", "a=b"], "x": [-1, 2]})).to_csv(index=False)
    "name,x\n'=cmd|' /C calc'!A0,-1\na=b,2\n"
    """
    return _mapped(table, guarded)


def from_spreadsheets(table):
    """Turn a table back into what it was before `for_spreadsheets`.

    Parameters
    ----------
    table : pandas.DataFrame

    Returns
    -------
    pandas.DataFrame

    Examples
    --------
    >>> import pandas as pd
    >>> from_spreadsheets(for_spreadsheets(pd.DataFrame({"name": ["=1+1", "'=1+1", "a"]})))["name"].tolist()
    ['=1+1', "'=1+1", 'a']
    """
    return _mapped(table, unguarded)


def guarded(value):
    """The value for a table's cell; a text that begins like a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def unguarded(value):
    """Turn a value back into what it was before `guarded`."""
    return value[1:] if isinstance(value, str) and value.startswith("'") and FORMULA.match(value) else value


def _mapped(table, function):
    """Apply a function to the texts of a table; columns in which it changes none are left alone."""
    texts = {column: table[column].tolist() for column, kind in table.dtypes.items() if kind.kind not in "biufcmM"}
    odd = [column for column, ones in texts.items() if any(isinstance(one, str) and FORMULA.match(one) for one in ones)]
    return table.assign(**{column: [function(one) for one in texts[column]] for column in odd})


def printable(text, lines=False):
    r"""Write control characters of a text as escapes, so that a name is seen and not obeyed.

    Parameters
    ----------
    text : object
        Its ``str`` is used.
    lines : bool
        Whether the text has several lines; their ends and tabs are kept.

    Returns
    -------
    str

    Examples
    --------
    >>> print(printable("P1_a\n.png"), printable("\x1b[2J"), printable("a\nb", lines=True).count("\n"))
    P1_a\n.png \x1b[2J 1
    """
    return (_BUT_LINES if lines else _ANY).sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))
