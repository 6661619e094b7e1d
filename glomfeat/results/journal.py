"""One JSON line per finished trial, appended and flushed as it ends; what is done is read back from it."""

import contextlib
import errno
import json
import os
import re
import zlib
from pathlib import Path

from glomfeat.core.disk import writing
from glomfeat.data.files import sha256_of

# the end of a line: the CRC-32 of the line without this entry
CHECKED = re.compile(rb', "crc32": "([0-9a-f]{8})"}$')


class Journal:
    """The file that a run writes and that a resumed run reads.

    Parameters
    ----------
    path : path-like

    Examples
    --------
    >>> import tempfile
    >>> journal = Journal(Path(tempfile.mkdtemp()) / "journal.jsonl")
    >>> journal.append({"arm": "a/none/svm", "repeat": 0, "fold": 1, "status": "done"})
    >>> list(journal.read())
    [('a/none/svm', 0, 1)]
    """

    def __init__(self, path):
        self.path = Path(path)
        self._file, self._at, self._read = None, 0, Lines()

    def header(self):
        """What `start` wrote, or None if no journal has been started."""
        lines = self._lines()
        return lines[0].get("study") if lines else None

    def about(self):
        """What `note_about` wrote last, or None."""
        return self._last("about")

    def reference(self):
        """What `note_reference` wrote last, and whether it already held when the first trial was run.

        Returns
        -------
        dict or None
            ``arm``, ``margin`` and ``before``; None if there is no reference.
        """
        held, first, begun = None, None, False
        for record in self._lines():
            if "reference" in record:
                held = record["reference"]
            elif "arm" in record and not begun:
                first, begun = held, True
        return held and held | {"before": not begun or held == first}

    def versions(self):
        """What `note_versions` wrote before trials were run, each once, in order; journals of before know none.

        Returns
        -------
        list of dict of str to str
        """
        found, now = [], None
        for record in self._lines():
            if "versions" in record:
                now = record["versions"]
            elif "arm" in record and now is not None and now not in found:
                found.append(now)
        return found

    def written(self):
        """The SHA-256 of files by name, as `note_written` last found them."""
        return self._last("written") or {}

    def _last(self, name):
        return next((record[name] for record in reversed(self._lines()) if name in record), None)

    def damaged(self):
        """A sentence for each line that is not believed, because its checksum is wrong or missing."""
        self._lines()
        return [
            f"{self.path.name}: line {number} is damaged and is dropped: a trial that it alone held is run again"
            for number in self._read.damaged
        ]

    def start(self, study):
        """Begin the file with a description of the study.

        Parameters
        ----------
        study : dict
            Plain data.
        """
        self.append({"study": study})

    def append(self, record):
        """Write a record and make sure that it is on the disk; a record that cannot be written whole is removed again.

        Parameters
        ----------
        record : dict
            Plain data with ``arm``, ``repeat``, ``fold`` and ``status``.

        Raises
        ------
        DiskError
            The disk is full, read-only or unreachable.
        """
        text = json.dumps(record).encode()
        line = text[:-1] + b', "crc32": "%08x"}\n' % zlib.crc32(text)
        with writing(self.path.parent, needs=len(line)):
            end, lacks_end = self._end()
            try:
                with self.path.open("ab") as file:
                    file.truncate(end)
                    file.write(b"\n" + line if lacks_end else line)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    os.truncate(self.path, end) if end else self.path.unlink(missing_ok=True)
                raise

    def _end(self):
        """Where the next line begins, after everything but a torn last line; and whether that only lacks its end."""
        if not self._is_there() or not self.path.stat().st_size:
            return 0, False
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) == b"\n":
                return file.tell(), False
            file.seek(0)
            text = file.read()
        whole = text.rfind(b"\n") + 1
        return (len(text), True) if Lines().parse(text[whole:]) else (whole, False)

    def _is_there(self):
        """Whether the file exists; one that has vanished since it was read is not a journal that has not been begun."""
        there = self.path.exists()
        if self._read.records and not there:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        return there

    def _lines(self):
        """The records as written, without lines that are damaged or that a crash left unfinished.

        Only what has been added since the last time is read and parsed.
        """
        with writing(self.path.parent):
            if not self._is_there():
                return []
            about = self.path.stat()
            if (about.st_ino, about.st_dev) != self._file or about.st_size < self._at:
                self._file, self._at, self._read = (about.st_ino, about.st_dev), 0, Lines()
            if about.st_size == self._at:
                return self._read.records
            with self.path.open("rb") as file:
                file.seek(self._at)
                added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._at += len(whole)
        self._read.add(whole)
        last = self._read.parse(added[len(whole) :])
        return self._read.records + ([last] if last else [])

    def read(self):
        """The record of each trial: the one that is done, else the last one.

        Returns
        -------
        dict of (arm, repeat, fold) to dict
        """
        return _ends((record for record in self._lines() if "arm" in record), ("arm", "repeat", "fold"))

    def inside(self):
        """Where networks looked, from one trial of each arm; see `glomfeat.models.nets.look`.

        Returns
        -------
        dict of str to dict
            By arm.
        """
        return {record["inside"]["arm"]: record["inside"] for record in self._lines() if "inside" in record}

    def changed(self):
        """Scores of changed images, by the trial's key and the kind of change; a list of scores for each strength.

        Returns
        -------
        dict of (arm, repeat, fold) to dict of str to list
        """
        found = {}
        for record in self._lines():
            if one := record.get("changed"):
                found.setdefault((one["arm"], one["repeat"], one["fold"]), {})[one["by"]] = one["scores"]
        return found

    def external(self):
        """How arms that were fitted on all images scored cohorts: for each pair the record that is done, else the last.

        Pairs are the cohort's key and the arm.

        Returns
        -------
        dict of (str, str) to dict
        """
        return _ends((line["external"] for line in self._lines() if "external" in line), ("cohort", "arm"))

    def aside(self):
        """The images of cohorts that were set aside, by the cohort's key.

        Returns
        -------
        dict of str to list of dict
        """
        return {line["aside"]["cohort"]: line["aside"]["images"] for line in self._lines() if "aside" in line}

    def done(self):
        """The records of the trials that are done.

        Returns
        -------
        dict of (arm, repeat, fold) to dict
        """
        return {key: record for key, record in self.read().items() if record["status"] == "done"}


def _ends(records, names):
    """The record for each key, made from the fields of these names: the one that is done, else the last one."""
    found = {}
    for record in records:
        key = tuple(record[name] for name in names)
        if found.get(key, {}).get("status") != "done":
            found[key] = record
    return found


def note_about(journal, about):
    """Append what the run is about to its journal, unless it is there already.

    Parameters
    ----------
    journal : Journal
    about : dict
        From `about_run`.
    """
    if journal.about() != about:
        journal.append({"about": about})


def note_reference(journal, arm, margin):
    """Append what every arm is compared to, unless the journal says so already.

    Parameters
    ----------
    journal : Journal
    arm : str or None
        In full; None if no arm was named.
    margin : float or None
    """
    named = None if arm is None else {"arm": arm, "margin": margin}
    there = journal.reference()
    if named != (there and {name: there[name] for name in ("arm", "margin")}):
        journal.append({"reference": named})


def note_versions(journal, versions):
    """Append the versions of the packages that trials are run with from here on, unless the journal says so already.

    Parameters
    ----------
    journal : Journal
    versions : dict of str to str
        By package.
    """
    if journal._last("versions") != versions:
        journal.append({"versions": versions})


def versions_in_words(found):
    """The versions that differ between the trials of a journal; empty if none do.

    Parameters
    ----------
    found : list of dict of str to str
        From `Journal.versions`.

    Examples
    --------
    >>> versions_in_words([{"numpy": "2.1", "torch": "2.8"}, {"numpy": "2.2", "torch": "2.8"}])
    'numpy 2.1, then 2.2'
    """
    several = {name: [*dict.fromkeys(one.get(name, "none") for one in found)] for one in found for name in one}
    return "; ".join(f"{name} {', then '.join(each)}" for name, each in several.items() if len(each) > 1)


def note_written(journal, names):
    """Append the SHA-256 that files beside a journal should have, unless it says so already.

    Parameters
    ----------
    journal : Journal
    names : iterable of str
        Names of files; those that do not exist are skipped.
    """
    files = {name: path for name in names if (path := journal.path.parent / name).is_file()}
    written = {name: sha256_of(path) for name, path in files.items()}
    if journal.written() != written:
        journal.append({"written": written})


class Lines:
    """The lines of a journal, in order.

    Once a line with a correct checksum was read, lines without one are not believed; earlier versions wrote none.

    Attributes
    ----------
    records : list of dict
    damaged : list of int
        Numbers of lines, from 1.
    """

    def __init__(self):
        self.records, self.damaged = [], []
        self._checked, self._count = False, 0

    def add(self, text):
        """Take in whole lines, in bytes."""
        for line in text.splitlines():
            self._count += 1
            record = self.parse(line)
            if record is not None:
                self.records.append(record)
                self._checked = self._checked or CHECKED.search(line) is not None
            elif line and (self._checked or CHECKED.search(line)):
                self.damaged.append(self._count)

    def parse(self, line):
        """The record of a line; None if it is not believed or is not a record."""
        found = CHECKED.search(line)
        if found:
            line = line[: found.start()] + b"}"
        elif self._checked:
            return None
        if found and int(found[1], 16) != zlib.crc32(line):
            return None
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            return record if isinstance(record, dict) else None
        return None
