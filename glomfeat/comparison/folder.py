"""The output folder of a study: a new one, or one that holds the same study."""

from pathlib import Path

from glomfeat.comparison.objects import ONCE
from glomfeat.core.arms import StudyError
from glomfeat.core.disk import writing
from glomfeat.core.locks import MARK
from glomfeat.results.journal import Journal

BEGUN = ("journal.jsonl", MARK)  # all that is left by a study that could not write its first line


def journal_of(study):
    """The journal in the output folder of a study; the file may not exist yet."""
    return Journal(Path(study.out).expanduser() / "journal.jsonl")


def check_out(prepared, journal=None):
    """Refuse an output folder that cannot take a study; nothing is written.

    Parameters
    ----------
    prepared : Prepared
    journal : Journal, optional
        From `journal_of`, if it is at hand, so that it is not read again.

    Returns
    -------
    Journal

    Raises
    ------
    StudyError
        The folder holds another study (the differences are named) or something else.
    """
    journal = journal or journal_of(prepared.study)
    out, there = journal.path.parent, journal.header()
    if there is None:
        if journal.damaged():
            raise StudyError(
                f"the first line of {journal.path}, which says what was compared, is damaged, so it is not known "
                "what its trials are of: choose another folder with --out, or delete this one"
            )
        if (out.is_dir() and any(path.name not in BEGUN for path in out.iterdir())) or journal.read():
            raise StudyError(f"{out} holds files but no study: choose another folder with --out")
    elif changed := differences(there, prepared.identity):
        raise StudyError(f"{out} holds another study ({changed}): choose another folder with --out")
    return journal


def open_out(prepared, journal=None):
    """Open the output folder: a new one, or one that holds the same study.

    Parameters, what is returned and errors are those of `check_out`.
    """
    journal = check_out(prepared, journal)
    if journal.header() is None:
        with writing(journal.path.parent):
            journal.path.parent.mkdir(parents=True, exist_ok=True)
        journal.start(prepared.identity)
    return journal


def differences(there, now):
    """The differences between two identities of studies, in words; empty if there are none.

    Examples
    --------
    >>> differences({"seed": 0, "folds": 5}, {"seed": 1, "folds": 5})
    'seed: 0 there, 1 now'
    """
    names = [name for name in {**now, **there} if there.get(name) != now.get(name)]
    if names == ["own parts"] and (same := _changed_code(there.get("own parts", ""), now.get("own parts", ""))):
        return f"the code or an attribute of {', '.join(same)} has changed"
    return "; ".join(f"{name}: {there.get(name)} there, {now.get(name)} now" for name in names)


def _changed_code(there, now):
    """Which of the user's own parts, as `Study.identity` lists them, have changed code; empty if it is not known."""
    digests = [dict(part.rpartition("@")[::2] for part in parts.split(", ") if part) for parts in (there, now)]
    if digests[0].keys() != digests[1].keys() or any(one.startswith(ONCE) for one in digests[0].values()):
        return []
    return [name for name, digest in digests[0].items() if digests[1][name] != digest]


def about_run(prepared):
    """What a reader of the journal cannot know from folds, options and records.

    Parameters
    ----------
    prepared : glomfeat.comparison.prepare.Prepared

    Returns
    -------
    dict
        Plain data.
    """
    manifest = prepared.manifest
    return {
        "study": type(prepared.study).__name__,
        "title": prepared.title,
        "classes": list(manifest.classes),
        "by_case": manifest.by_case,
        "torn": manifest.torn,
        "said": list(manifest.said),
        "table": bool(manifest.source),
        "weights": prepared.weights,
        "arms": list(map(str, prepared.arms)),
    } | ({"networks": prepared.noted} if prepared.noted else {})
