"""Files among the images that are not read: which they are, their class, and what to do about them."""

from collections import Counter

from glomfeat.data.archives import SUFFIXES as ARCHIVES
from glomfeat.data.containers import SUFFIXES as CONTAINERS
from glomfeat.data.endings import PACKED, PICTURES, SLIDES
from glomfeat.data.files import OUTPUT, WRITTEN
from glomfeat.data.images.decode import READ, SUFFIXES
from glomfeat.data.problems import Gap, ManifestError
from glomfeat.data.tables.read import listed

_DOCUMENTS = """
    .csv .tsv .txt .md .rst .json .jsonl .geojson .xml .yaml .yml .ini .toml .cfg .log .db .html .htm .css .js .pdf .doc
    .docx .odt .xls .xlsx .ods .ppt .pptx .bib .tex .cff .url .lnk .lock .py .ipynb .r .m .sh .bat .cls .md5 .sha256
    .parquet .h5 .hdf5 .qpproj .qpdata
"""
DOCUMENTS = frozenset(_DOCUMENTS.split())
HOLDERS = frozenset(CONTAINERS) & DOCUMENTS  # of these, only those that hold images come here
PLAIN = ("readme", "license", "licence", "copying", "changelog", "makefile", "dockerfile", "md5sums", "sha256sums")
OUR_PICTURES = ("figures", "pairs.png")  # at the top of what studies and audits write
APART = "move it out of DATA, and give it as DATA by itself, or save its images as PNG"


def suffix_of(name):
    """The suffix of a name in lower case, with its dot; empty if there is none.

    Examples
    --------
    >>> suffix_of("a.b/c.HEIC"), suffix_of("a.b/c")
    ('.heic', '')
    """
    last = name.rpartition("/")[2]
    return f".{last.rpartition('.')[2].lower()}" if "." in last else ""


def is_picture(name):
    """Whether a name ends like images or slides in formats that are not read."""
    return suffix_of(name) in PICTURES


def is_document(name):
    """Whether a file is what usually lies beside images: no picture, and no container, which may hold some.

    Examples
    --------
    >>> [is_document(name) for name in ("a/report.PDF", "Thumbs.db", "README", "a.png", "a", "a.heic")]
    [True, True, True, False, False, False]
    """
    return suffix_of(name) in DOCUMENTS - HOLDERS or name.rpartition("/")[2].lower() in PLAIN


def is_left_out(name):
    """Whether a file among images deserves a mention: not if it is what usually lies beside images.

    Examples
    --------
    >>> [is_left_out(name) for name in ("sick/a.heic", "a.heic", "sick/a", "sick/notes.txt", "sick/README", "odd.bin")]
    [True, True, True, False, False, False]
    >>> is_left_out("siteB.zip")
    True
    """
    suffix = suffix_of(name)
    if suffix in SUFFIXES or suffix in HOLDERS or is_document(name):
        return False
    return suffix in PICTURES or suffix in ARCHIVES or "/" in name


def reason_of(name):
    """Say why a file is not read, and what to do."""
    suffix = suffix_of(name)
    if suffix in SLIDES:
        return f"{suffix} is a whole slide: cut crops out of it with python -m studies.crops"
    if suffix in PACKED:
        return f"{suffix} is packed: unpack it"
    if suffix in ARCHIVES:
        return f"{suffix} beside images is not read: unpack it, or move it out of DATA"
    if suffix in HOLDERS:
        return f"{suffix} with images beside others is not read: {APART}"
    return f"{suffix or 'a file without a suffix'} is not read: save it as PNG, if it is an image ({READ} are read)"


def rows_of(names, classes):
    """The rows that tables show for files that are not read.

    Parameters
    ----------
    names, classes : list of str
        A class is empty for a file of no class.

    Returns
    -------
    tuple of dict
        ``name``, ``class``, ``suffix`` and ``reason``.
    """
    both = zip(names, classes, strict=True)
    return tuple(
        {"name": name, "class": kind, "suffix": suffix_of(name), "reason": reason_of(name)} for name, kind in both
    )


def counted(rows):
    """Count the files of each suffix and class, in words; the most first.

    Examples
    --------
    >>> counted(rows_of(["a.svs", "b.svs", "c"], ["sick", "sick", ""]))
    '2 .svs of sick, 1 without a suffix'
    """
    found = Counter((row["suffix"], row["class"]) for row in rows).most_common()
    parts = [f"{n} {suffix or 'without a suffix'}{f' of {kind}' if kind else ''}" for (suffix, kind), n in found]
    return ", ".join(parts[:8]) + (f" and {len(parts) - 8} more kinds" if len(parts) > 8 else "")


def note_on(rows):
    """A line for the user about files that are not read."""
    suffixes = {row["suffix"] for row in rows}
    advice = ["python -m studies.crops cuts crops out of whole slides"] if suffixes & {*SLIDES} else []
    advice += ["unpack what is packed, or move it out of DATA"] if suffixes & {*PACKED, *ARCHIVES} else []
    advice += [f"a file with many images: {APART}"] if suffixes & HOLDERS else []
    advice += ["save images as PNG"] if suffixes - {*SLIDES, *PACKED, *ARCHIVES, *HOLDERS} else []
    return f"not read: {counted(rows)}; {'; '.join(advice)}"


def lines_on_outputs(names):
    """Lines for the user about folders that a study or an audit wrote, one or none.

    Parameters
    ----------
    names : iterable of str
        From `glomfeat.data.files.names_below`.
    """
    written = sorted(name.removesuffix(f"/{OUTPUT}") for name in names if name.endswith(OUTPUT))
    return [f"left out: {listed(written, 3)}, which glomfeat wrote itself"] if written else []


def outputs_among(folder, images, others):
    """As `lines_on_outputs`, but refuse a folder that is itself what a study or an audit wrote.

    Parameters
    ----------
    folder : pathlib.Path
    images, others : sequence of str
        From `glomfeat.data.sources.files_of`. If any image is not a figure of ours, the folder holds data all the same.

    Returns
    -------
    list of str
    """
    if all(name.partition("/")[0] in OUR_PICTURES for name in images):
        for written, what in zip(WRITTEN, ("a study", "an audit"), strict=True):
            if written <= {*others}:
                raise ManifestError(
                    f"{folder} is the output of {what} (it holds {min(written)}): give the data as DATA; study.yaml in "
                    "it says which these were"
                )
    return lines_on_outputs(others)


def vanished(rows, classes):
    """Report classes all of whose files are in formats that are not read.

    Parameters
    ----------
    rows : sequence of dict
        From `rows_of`.
    classes : set of str
        Classes with images that are read.

    Returns
    -------
    list of (str, list of str)
    """
    lost = {}
    for row in rows:
        if row["class"] and row["class"] not in classes:
            lost.setdefault(row["class"], []).append(row)
    if len(classes) > 1:  # a folder of downloads is no class
        lost = {kind: some for kind, some in lost.items() if {row["suffix"] for row in some} - {*ARCHIVES, *HOLDERS}}
    return [
        (
            Gap(
                f"files, all of folder {kind}, cannot be read ({counted(some).replace(f' of {kind}', '')}): "
                + _remedy(some[0]["suffix"])
                + ", or move the folder out of DATA"
            ),
            [row["name"] for row in some],
        )
        for kind, some in sorted(lost.items())
    ]


def tell_unread(problems, unread):
    """Say which labels lack an image because the file is of a format that is not read."""
    known = {name: row for row in unread for name in (row["name"], row["name"].rpartition("/")[2])}
    for k, (what, names) in enumerate(problems):
        there = [known[name] for name in names if name in known]
        if there and what.endswith("without a file"):
            rest = [name for name in names if name not in known]
            problems[k : k + 1] = [(what, rest)] if rest else []
            which = (
                f"{what.removesuffix(' without a file')} whose files are not read ({counted(there)}): save them as PNG"
            )
            problems.append((Gap(which), [row["name"] for row in there]))


def _remedy(suffix):
    if suffix in SLIDES:
        return "cut crops with python -m studies.crops"
    return "unpack them" if suffix in ARCHIVES else "save them as PNG"
