"""Find the names of one table among those of another, even if folders and suffixes are written differently."""

import re
from collections import Counter, defaultdict

SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}$")


def as_parts(name):
    r"""Split the path of a file into folders and name, as written on any system.

    Examples
    --------
    >>> as_parts(r"C:\data\sick\a.png"), as_parts("./a.png")
    (['data', 'sick', 'a.png'], ['a.png'])
    """
    text = re.sub(r"^[A-Za-z]:", "", name) if "\\" in name or re.match(r"^[A-Za-z]:/", name) else name
    return [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")] or [name]


def without_suffix(name):
    """A name without its suffix; a dot followed by a number does not begin one.

    Examples
    --------
    >>> without_suffix("a.png"), without_suffix("slide.12")
    ('a', 'slide.12')
    """
    return SUFFIX.sub("", name)


def find_names_among(wanted, known):
    r"""Find each name among others: as it is, else by the end of its path, with or without suffix, if that is unique.

    Parameters
    ----------
    wanted : sequence of str
    known : sequence of str
        Without repetition.

    Returns
    -------
    places : dict of str to int
        The position in `known` of each of `wanted` that was found; no two share one.
    unclear : list of str
        Those that fit several names, or that fit one name together with others.

    Examples
    --------
    >>> find_names_among([r"D:\x\a.png", "b", "c"], ["sick/a.png", "well/b.png"])
    ({'D:\\x\\a.png': 0, 'b': 1}, [])
    >>> find_names_among(["a"], ["sick/a.png", "well/a.png"])
    ({}, ['a'])
    """
    rows = {name: row for row, name in enumerate(known)}
    wanted = list(dict.fromkeys(wanted))
    places = {name: rows[name] for name in wanted if name in rows}
    left, unclear = [name for name in wanted if name not in places], []
    if not left:
        return places, []
    free = sorted(set(rows.values()) - set(places.values()))
    parts = {row: as_parts(known[row]) for row in free}
    for form in (str, without_suffix):
        by_end = defaultdict(list)
        for row in parts:
            by_end[form(parts[row][-1])].append(row)
        found = {name: _best(as_parts(name), by_end, parts, form) for name in left}
        taken = Counter(best[0] for best in found.values() if len(best) == 1)
        once = {name: best[0] for name, best in found.items() if len(best) == 1 and taken[best[0]] == 1}
        unclear += [name for name, best in found.items() if best and name not in once]
        places |= once
        left = [name for name, best in found.items() if not best]
        parts = {row: part for row, part in parts.items() if row not in once.values()}
    return places, [name for name in unclear if name not in places]


def _best(name, by_end, parts, form):
    """The rows whose paths share most parts with a name, counted from the end."""
    rows = by_end.get(form(name[-1]), [])
    if len(rows) < 2:
        return rows
    agree = {row: _agreeing(name[:-1], parts[row][:-1]) for row in rows}
    most = max(agree.values())
    return [row for row in rows if agree[row] == most]


def _agreeing(first, second):
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count
