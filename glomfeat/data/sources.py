"""Where the images of a data set lie: below a folder, in an archive, or in the shards of a WebDataset."""

import contextlib
import itertools
import os
import re
from pathlib import Path

from glomfeat.data.archives import SUFFIXES as ARCHIVES
from glomfeat.data.archives import ArchiveError
from glomfeat.data.containers import SUFFIXES as CONTAINERS
from glomfeat.data.containers import is_container
from glomfeat.data.files import index_of, is_archive, is_hidden, names_below, roots_of, split
from glomfeat.data.images.decode import SUFFIXES

LOOKED_AT = 4
BRACES = re.compile(r"\{([^{}]*)\}")


def expand_braces(pattern):
    """The names that a WebDataset's pattern stands for.

    Parameters
    ----------
    pattern : str

    Returns
    -------
    list of str

    Examples
    --------
    >>> expand_braces("shard-{08..10}.tar"), expand_braces("{train,test}.tar")
    (['shard-08.tar', 'shard-09.tar', 'shard-10.tar'], ['train.tar', 'test.tar'])
    """
    found = BRACES.search(pattern)
    if not found:
        return [pattern]
    span = re.fullmatch(r"(\d+)\.\.(\d+)", found[1])
    parts = found[1].split(",")
    if span:
        parts = [f"{number:0{len(span[1])}d}" for number in range(int(span[1]), int(span[2]) + 1)]
    head, tail = pattern[: found.start()], pattern[found.end() :]
    return [whole for part in parts for whole in expand_braces(f"{head}{part}{tail}")]


def find_archives(data):
    """The archives that make up a data set; none for a folder of images or a table.

    Parameters
    ----------
    data : path-like
        A zip or tar, a folder that holds archives and no image, or a pattern such as ``shards-{000..003}.tar`` or
        ``shards-*.tar``.

    Returns
    -------
    list of pathlib.Path
        Sorted.

    Raises
    ------
    ArchiveError
        An archive is missing, or is of a kind that is not read.
    """
    data = Path(data)
    if data.is_dir():
        with os.scandir(data) as entries:
            found = sorted(Path(one.path) for one in entries if is_archive(one.path) and not is_hidden(one.name))
        found = found or _containers_in(data)
        return [] if found and any(is_image(name) for name in names_below(data)) else found
    if data.exists():
        return [data] if is_archive(data) or is_container(data) else []
    found = []
    for name in expand_braces(str(data)):
        matches = sorted(Path(name).parent.glob(Path(name).name)) if re.search(r"[*?\[]", name) else [Path(name)]
        found += [path for path in matches if is_archive(path) or is_container(path)]
        if not matches or not all(path.exists() for path in matches):
            return [] if name == str(data) else _missing(name, data)
    return found


def _containers_in(folder):
    """The containers of images in a folder or its sub-folders; only a few files of these formats are opened."""
    for place in (folder, *(Path(folder) / name for name in sorted(_folders_in(folder)))):
        # a folder that cannot be listed is refused when images are looked for
        with contextlib.suppress(PermissionError), os.scandir(place) as entries:
            files = [one.path for one in entries if one.name.lower().endswith(CONTAINERS) and not is_hidden(one.name)]
            if any(map(is_container, sorted(files)[:LOOKED_AT])):
                return [Path(one) for one in sorted(files) if is_container(one)]
    return []


def _missing(name, data):
    raise ArchiveError(f"there is no {name}, which {data} stands for: give all shards, or another pattern")


def is_image(name):
    """Whether a name ends like those of images.

    Examples
    --------
    >>> is_image("a/b.TIFF"), is_image("b.txt")
    (True, False)
    """
    return f".{name.rpartition('.')[2].lower()}" in SUFFIXES


def places_of(data):
    """The folders that make up a data set, including those in archives.

    Parameters
    ----------
    data : path-like
        As for `find_archives`, or a folder of images.

    Returns
    -------
    list of pathlib.Path
        Suited to `glomfeat.data.files.names_below`.
    """
    archives = find_archives(data)
    if archives and is_container(archives[0]):
        return archives
    return roots_of(archives) if archives else [Path(data)]


def images_of(places):
    """List all images of a data set.

    Parameters
    ----------
    places : list of pathlib.Path
        From `places_of`.

    Returns
    -------
    names, paths : list of str
        Names are relative to their place; if several archives hold one name, all have their archive's name in front.
    """
    return files_of(places)[:2]


def files_of(places):
    """List all images of a data set, and all other files.

    Parameters
    ----------
    places : list of pathlib.Path
        From `places_of`.

    Returns
    -------
    names, paths, others : list of str
        As for `images_of`, and names of files that are not images by their suffix, `glomfeat.data.files.OUTPUT` among
        them, but not archives that hold no other images than these. Names that are not UTF-8 are escaped, and paths are
        left as they are.
    packed : bool
        Whether names have that of their archive in front.

    Raises
    ------
    ArchiveError
        Archives that share names of files are called alike.
    """
    names, paths, others, held, archives = [], [], [], [], {}
    for place in places:
        below, known = [], is_container(place)
        archive = place if known else split(place)[0]
        for name in names_below(place):
            if known or is_image(name):
                below.append(name)
            else:
                others.append((archive, name))
            if name.lower().endswith(ARCHIVES):
                archives[name] = Path(place, name)
        names += below
        paths += [f"{place}{os.sep}{name}" for name in below]
        held += [archive] * len(below)
    if archives:
        there = {end for name in names for end in _ends(name)}
        others = [one for one in others if one[1] not in archives or _holds_more(archives[one[1]], there)]
    if packed := len(places) > 1 and len({*names}) < len(names):  # all, so that a level means one thing
        names = [f"{archive.stem}/{name}" for archive, name in zip(held, names, strict=True)]
        _refuse_twins(names, held)
        others = [(archive, f"{archive.stem}/{name}") for archive, name in others]
    return list(map(escaped, names)), paths, [escaped(name) for _, name in others], packed


def _refuse_twins(names, held):
    """Refuse archives that hold files of one name and are called alike, so that nothing tells their images apart."""
    seen = {}
    for name, archive in zip(names, held, strict=True):
        if (other := seen.setdefault(name, archive)) is not archive:
            raise ArchiveError(
                f"{other} and {archive} are called alike and both hold {name.partition('/')[2]}: give one of them "
                "another name, or move it away if both hold the same images"
            )


def containers_beside(places, names, others):
    """The containers among other files that hold images under other names than those that lie there.

    Of a folder whose first files of these formats are no containers, no more are opened.

    Parameters
    ----------
    places : list of pathlib.Path
        From `places_of`.
    names, others : list of str
        From `files_of`.

    Returns
    -------
    list of str
    """
    by_folder, found = {}, []
    for name in others:
        if name.lower().endswith(CONTAINERS):
            by_folder.setdefault(name.rpartition("/")[0], []).append(name)
    there = {end for name in names for end in _ends(name)} if by_folder else {}
    for place, some in itertools.product(places, by_folder.values()):
        if any(is_container(place / name) for name in some[:LOOKED_AT]):
            found += [name for name in some if is_container(place / name) and _holds_more(place / name, there)]
    return found


def _holds_more(path, there):
    """Whether an archive or container holds images under other names than some; so it seems if it cannot be listed.

    Names count with their folder, because many cases may have a ``1.png``.
    """
    try:
        members = index_of(path).names
    except OSError:
        return True
    images = members if is_container(path) else filter(is_image, members)  # names of rows have no suffix
    return any(_ends(name)[0] not in there for name in images if not is_hidden(name))


def _ends(name):
    """A name with its folder, and without."""
    return ("/".join(name.rsplit("/", 2)[-2:]), name.rpartition("/")[2])


def folders_at(places, depth):
    """The folders at a given depth below the places of a data set, whatever they hold.

    Parameters
    ----------
    places : list of pathlib.Path
        From `places_of`; archives have no folders without a file.
    depth : int

    Returns
    -------
    list of str
        Relative, with slashes; sorted.
    """
    found = []
    for place in places:
        level = [""] if place.is_dir() else []
        for _ in range(depth):
            level = [f"{base}{name}/" for base in level for name in _folders_in(place / base)]
        found += [escaped(name[:-1]) for name in level]
    return sorted(found)


def _folders_in(folder):
    with os.scandir(folder) as entries:
        return [one.name for one in entries if one.is_dir() and not is_hidden(one.name)]


def escaped(name):
    r"""A name as text that can be written anywhere, with bytes that are not UTF-8 as ``\xe9``.

    A carriage return, which would end a row of a CSV, becomes ``\x0d``.

    Examples
    --------
    >>> escaped(os.fsdecode(b"caf\xe9.png")), escaped("café\r.png")
    ('caf\\xe9.png', 'café\\x0d.png')
    """
    name = name.replace("\r", r"\x0d")
    if name.isascii():
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def archive_problems(archives):
    """Find names in archives that mean two members, or a place outside.

    Returns
    -------
    list of (str, list of str)
        What is wrong, and the names.
    """
    problems = []
    for archive in archives:
        index = index_of(archive)
        problems.append((f"names that several members of {archive} have: keep one of each", index.repeated()))
        outside = f"names in {archive} that lead out of it: pack it again from inside its folder"
        problems.append((outside, index.escaping()))
    return [(what, names) for what, names in problems if names]
