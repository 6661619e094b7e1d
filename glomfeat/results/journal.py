"""One JSON line per finished trial, appended and flushed as it ends; what is done is read from it."""

import contextlib
import json
import os
from pathlib import Path


class Journal:
    """The file that a run writes and a resumed run reads.

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
        self._file, self._at, self._records = None, 0, []

    def header(self):
        """What `start` wrote, or None where no journal has been started."""
        lines = self._lines()
        return lines[0].get("study") if lines else None

    def about(self):
        """What `note_about` wrote last, or None."""
        found = [record["about"] for record in self._lines() if "about" in record]
        return found[-1] if found else None

    def start(self, study):
        """Begin the file with what the study is.

        Parameters
        ----------
        study : dict
            Plain data.
        """
        self.append({"study": study})

    def append(self, record):
        """Write a record and make sure that it is on the disk.

        Parameters
        ----------
        record : dict
            Plain data with ``arm``, ``repeat``, ``fold`` and ``status``.
        """
        line = json.dumps(record) + "\n"
        torn = self.path.exists() and self.path.stat().st_size and not self._ends_well()
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + line if torn else line)
            file.flush()
            os.fsync(file.fileno())

    def _ends_well(self):
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def _lines(self):
        """The records as written, without lines that a crash left unfinished.

        Only what has been added since the last time is read and parsed.
        """
        if not self.path.exists():
            return []
        about = self.path.stat()
        if (about.st_ino, about.st_dev) != self._file or about.st_size < self._at:
            self._file, self._at, self._records = (about.st_ino, about.st_dev), 0, []
        if about.st_size == self._at:
            return self._records
        with self.path.open("rb") as file:
            file.seek(self._at)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._at += len(whole)
        self._records += _parse(whole)
        return self._records + _parse(added[len(whole) :])

    def read(self):
        """The record of each trial: the one that is done, else the last.

        Returns
        -------
        dict of (arm, repeat, fold) to dict
        """
        found = {}
        for record in self._lines():
            if "arm" not in record:
                continue
            key = record["arm"], record["repeat"], record["fold"]
            if found.get(key, {}).get("status") != "done":
                found[key] = record
        return found

    def inside(self):
        """Where networks looked, of one trial of each arm; see `glomfeat.models.nets.look`.

        Returns
        -------
        dict of str to dict
            By the arm.
        """
        return {record["inside"]["arm"]: record["inside"] for record in self._lines() if "inside" in record}

    def done(self):
        """The records of the trials that are done.

        Returns
        -------
        dict of (arm, repeat, fold) to dict
        """
        return {key: record for key, record in self.read().items() if record["status"] == "done"}


def note_about(journal, about):
    """Append what the run is about to its journal, unless that is there.

    Parameters
    ----------
    journal : Journal
    about : dict
        Of `about_run`.
    """
    if journal.about() != about:
        journal.append({"about": about})


def _parse(text):
    """The records of some lines, in bytes."""
    records = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            records.append(json.loads(line))
    return [record for record in records if isinstance(record, dict)]
