"""Find the names of one table among those of another, even if folders and suffixes are written differently."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, zip_longest

from glomfeat.data.endings import OF_FILES

SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}$")
BETWEEN = re.compile(r"\\(?!x([89a-f][0-9a-f]|0d))")  # not what `glomfeat.data.sources.escaped` writes, such as \xe9


def as_parts(name):
    r"""Split the path of a file into folders and name, as written on any system.

    Examples
    --------
    >>> as_parts(r"C:\data\sick\a.png"), as_parts("./a.png")
    (['data', 'sick', 'a.png'], ['a.png'])
    """
    text = re.sub(r"^[A-Za-z]:", "", name) if "\\" in name or re.match(r"^[A-Za-z]:/", name) else name
    return [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")] or [name]


def last_part(name):
    r"""The name of a file without its folders, as written on any system.

    Examples
    --------
    >>> last_part(r"C:\sick\a.png"), last_part("sick/a.png"), last_part(r"caf\xe9.png")
    ('a.png', 'a.png', 'caf\\xe9.png')
    """
    return as_parts(name)[-1] if BETWEEN.search(name) else name.rpartition("/")[2]


def last_parts(names):
    """Relative names without their folders, if these are unique."""
    short = [name.rpartition("/")[2] for name in names]
    return short if len(set(short)) == len(short) else names


def without_suffix(name):
    """A name without its suffix; a dot followed by a number does not begin one.

    Examples
    --------
    >>> without_suffix("a.png"), without_suffix("slide.12")
    ('a', 'slide.12')
    """
    return SUFFIX.sub("", name)


def suffixes_off(wanted, known):
    """How to take suffixes off the names of two lists: those of files, and one that all names of a list have.

    What follows a dot may tell two kidneys or visits apart, so ``P1.L`` is not ``P1.R``, nor ``P1.T0`` ``P1.T1``.

    Parameters
    ----------
    wanted, known : sequence of str

    Returns
    -------
    of_wanted, of_known : callable
        ``of_wanted(name)`` returns the name of the first list without its suffix.

    Examples
    --------
    >>> of_wanted, of_known = suffixes_off(["P1.L", "P2.R"], ["P1.svs", "P2.L.svs"])
    >>> of_wanted("P1.L"), of_known("P2.L.svs")
    ('P1.L', 'P2.L')
    """
    shared = [_shared(names) for names in (wanted, known)]
    return tuple(without_suffix if one and shared.count("") == 1 else _without_ending for one in shared)


def _shared(names):
    """What follows the last dot of all names of a list, if no file ends so."""
    last = SUFFIX.search(next(iter(names), ""))
    end = last[0] if last and last[0].lower() not in OF_FILES else ""
    return end if end and all(name.endswith(end) for name in names) else ""


def _without_ending(name):
    """A name of a file without its suffix."""
    return name[: last.start()] if (last := SUFFIX.search(name)) and last[0].lower() in OF_FILES else name


def find_names_among(wanted, known, again=False):
    r"""Find each name among others: as it is, else by the end of its path, with or without suffix, if that is unique.

    What a suffix is, `suffixes_off` says.

    Folders that only one of two names has say nothing. Folders that differ are no hindrance as long as no file name
    occurs twice: the data may have been moved. Where file names repeat, as ``1.png`` of every patient does, folders are
    part of the name. Then two names with different folders are found only if the folders below these agree and no other
    name ends so, and only if the two lists have no folder in common at the place where the names differ: lists that
    share one call their folders alike.

    Parameters
    ----------
    wanted : sequence of str
    known : sequence of str
        Without repetition.
    again : bool
        Whether a further name of one that another name has found is found too.

    Returns
    -------
    places : dict of str to int
        The position in `known` of each of `wanted` that was found; no two share one, unless asked to.
    unclear : list of str
        Those that fit several names, or that fit one name together with others.

    Examples
    --------
    >>> find_names_among([r"D:\x\a.png", "b", "c"], ["sick/a.png", "well/b.png"])
    ({'D:\\x\\a.png': 0, 'b': 1}, [])
    >>> find_names_among(["a"], ["sick/a.png", "well/a.png"])
    ({}, ['a'])
    >>> find_names_among(["P1/1.png", "P3/1.png"], ["P1/1.png", "P2/1.png"])
    ({'P1/1.png': 0}, [])
    >>> find_names_among(["P1.R", "P2.L"], ["P1.L", "P2.L"])
    ({'P2.L': 1}, [])
    """
    rows = {name: row for row, name in enumerate(known)}
    wanted = list(dict.fromkeys(wanted))
    places = {name: rows[name] for name in wanted if name in rows}
    ours, theirs = suffixes_off(wanted, known)
    left, unclear, both = [name for name in wanted if name not in places], [], _Both(wanted, known, ours, theirs)
    # the names of some lists have no suffix, and what follows a dot in them is part of the name
    for form, of_known in ((str, str), (ours, str), (str, theirs), (ours, theirs)):
        if not left:
            break
        ends, used = _Ends.of(known, of_known), {*places.values()}
        found = {name: _best(name, form, ends, both) for name in left}
        fit = Counter(best[0] for best in found.values() if len(best) == 1)
        for name, best in found.items():
            once = len(best) == 1 and fit[best[0]] == 1
            if once and (again or best[0] not in used):
                places[name] = best[0]
            elif len(best) > 1 or (best and best[0] not in used):
                unclear.append(name)
        left = [name for name, best in found.items() if not best]
    return places, unclear


def lines_on_folders(met, where):
    """Warn of names that met one in another folder than they name, if others met one in their own folder.

    Parameters
    ----------
    met : iterable of (str, str)
        Names, and those that they met.
    where : str
        What the names are of.

    Returns
    -------
    list of str
        At most one line.

    Examples
    --------
    >>> lines_on_folders([("P1/1.png", "P1/1.png"), ("P3/7.png", "P9/7.png"), ("8.png", "P1/8.png")], "labels.csv")
    ['warning: labels.csv: 1 name was found in another folder than it names: correct it if it is of another image']
    >>> lines_on_folders([("old/1.png", "new/1.png")], "labels.csv")
    []
    """
    folders = ([as_parts(name)[-2:-1] for name in pair] for pair in met)
    same = [one[0].casefold() == other[0].casefold() for one, other in folders if one and other]
    gone = len(same) - sum(same)
    if gone in (0, len(same)):
        return []
    if gone == 1:
        said = "1 name was found in another folder than it names: correct it if it is of another image"
    else:
        said = f"{gone} names were found in other folders than they name: correct them if they are of other images"
    return [f"warning: {where}: {said}"]


def _backwards(name, form):
    """The name of a file and its folders, the innermost first; accents are one letter, however they are stored."""
    *folders, last = as_parts(name if name.isascii() else unicodedata.normalize("NFC", name))
    return (form(last), *reversed(folders))


@dataclass(frozen=True)
class _Ends:
    """Names backwards, sorted, so that those with the same end are neighbours, and the row of each."""

    names: list
    rows: list

    @classmethod
    def of(cls, names, form):
        """Turn names round."""
        pairs = sorted((_backwards(name, form), row) for row, name in enumerate(names))
        return cls([name for name, _ in pairs], [row for _, row in pairs])

    def ending(self, end):
        """The rows of the names with an end."""
        return self.rows[_span(self.names, end)]

    def equal(self, name):
        """The rows of a name."""
        return self.rows[bisect_left(self.names, name) : bisect_right(self.names, name)]

    def agreement(self, name):
        """How many parts a name shares with the one that agrees with it most, counted from the end."""
        at = bisect_left(self.names, name)
        return max((_agreeing(name, other) for other in self.names[max(at - 1, 0) : at + 1]), default=0)


def _span(names, end):
    first = bisect_left(names, end)
    return slice(first, bisect_right(names, end, first, key=lambda name: name[: len(end)]))


def _agreeing(first, second):
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count


@dataclass(frozen=True)
class _Both:
    """What two lists of names tell about folders."""

    wanted: list
    known: list
    of_wanted: Callable
    of_known: Callable

    @cached_property
    def ends(self):
        """The different names of each list, backwards, without suffixes and sorted."""
        both = ((self.wanted, self.of_wanted), (self.known, self.of_known))
        return [sorted({_backwards(name, form) for name in names}) for names, form in both]

    @cached_property
    def alike(self):
        """For each place, counted from the end, whether a folder of one list is there in the other list, too."""
        if not any(one[0] == other[0] for names in self.ends for one, other in pairwise(names)):
            return []  # no folder is needed to tell names apart
        first, second = ([{*parts} - {None} for parts in zip_longest(*names)] for names in self.ends)
        return [bool(one & other) for one, other in zip(first, second, strict=False)]

    def contradict(self, place):
        """Whether folders that differ at a place are two folders, and not two names of one."""
        return place < len(self.alike) and self.alike[place]

    def is_single(self, end):
        """Whether no two names of a list end so."""
        spans = (_span(names, end) for names in self.ends)
        return all(span.stop - span.start < 2 for span in spans)


def _best(name, form, ends, both):
    """The rows of the names that a name fits best; several if it is not clear which one it is."""
    path = _backwards(name, form)
    agree = ends.agreement(path)
    if agree == len(path):
        return ends.equal(path) or ends.ending(path)
    rows, shorter = ends.ending(path[:agree]) if agree else [], ends.equal(path[:agree])
    if len(shorter) == len(rows):
        return rows
    if both.contradict(agree):
        return next(filter(None, (ends.equal(path[:k]) for k in range(agree, 0, -1))), [])
    return rows if both.is_single(_backwards(name, both.of_wanted)[:agree]) else rows[:1] * 2
