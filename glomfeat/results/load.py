"""Read a run back from its output folder alone, without any image or feature."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from glomfeat.core.arms import Arm, StudyError, plan_trials
from glomfeat.core.csvs import read_csv
from glomfeat.core.settings import read_settings
from glomfeat.data.manifest import Manifest
from glomfeat.data.schemes import find_scheme
from glomfeat.results.journal import Journal
from glomfeat.results.run import Run
from glomfeat.results.whole import why_unfit
from glomfeat.results.words import count
from glomfeat.results.write import OUTPUTS


@dataclass(frozen=True)
class Loaded:
    """The content of an output folder.

    Attributes
    ----------
    out : Path
    run : Run
        Its manifest has names, labels and cases; ``path``, ``slide`` and ``digest`` are not kept in the folder and
        are empty.
    about : dict
        From `about_run`.
    study : dict
        The content of study.yaml.
    identity : dict
        What the journal says about the identity of the study.
    environment : dict
        The content of environment.json; empty while the run is not finished.
    quarantine : pandas.DataFrame
        ``name, reason`` of the images that were set aside.
    inside : dict of str to dict
        Where networks looked, by arm; from `glomfeat.results.journal.Journal.inside`.
    missing : dict of str to str
        Why files are left out, by name: what `find` has found so far.
    journal : Journal
    """

    out: Path
    run: Run
    about: dict
    study: dict
    identity: dict
    environment: dict
    quarantine: pd.DataFrame
    inside: dict
    missing: dict
    journal: Journal

    def find(self, name):
        """The path of a file, or None if it is to be left out; one that was written and is gone counts as missing."""
        path, written = self.out / name, self.journal.written()
        if written and name in OUTPUTS and name not in written:  # an earlier run with other options has left it
            return None
        why = why_unfit(path, self.journal)
        if why and (path.exists() or (self.whole and name in written)):
            self.missing[name] = why
        return None if why else path

    @property
    def lacks(self):
        """Say in a sentence what is left out and how to make it again; empty if nothing is."""
        if not self.missing:
            return ""
        files = "; ".join(f"{name} {why}" for name, why in self.missing.items())
        return f"{files}: what they tell is left out. {made_again(self.out)}"

    @property
    def done(self):
        """How many trials are done, and how many there are."""
        return len(self.run.done(self.run.trials)), len(self.run.trials)

    @property
    def whole(self):
        """Whether every trial has ended, well or not."""
        return all(trial.key in self.run.records for trial in self.run.trials)


def made_again(out):
    """Say how files of an output folder are made again."""
    return (
        f"Run the study once more, by the same command with --out {out}: it makes them again, and keeps all finished "
        "trials"
    )


def load_run(out):
    """Read an output folder of `studies.compare`, whether or not its run is finished.

    Parameters
    ----------
    out : path-like

    Returns
    -------
    Loaded

    Raises
    ------
    StudyError
        The folder holds no run, or one that is too old, or one that has no folds yet.
    """
    out = Path(out).expanduser()
    journal = Journal(out / "journal.jsonl")
    identity, about = journal.header(), journal.about()
    if identity is None:
        inside = sorted(path.parent.name for path in out.glob("*/journal.jsonl"))
        there = f"; there are runs in its folders {', '.join(inside)}" if inside else ""
        raise StudyError(f"{out} holds no run (no journal.jsonl){there}: give the folder that a study wrote as --out")
    if about is None:
        again = f"python -m studies.compare --config {out / 'study.yaml'} --out {out}"
        raise StudyError(
            f"{out} was written before reports were made: run `{again}` again, which computes nothing anew"
        )
    if not (out / "folds.csv").exists():
        raise StudyError(f"{out} has no folds yet: its images are still being read; ask again when trials have begun")
    if why := why_unfit(out / "folds.csv", journal):
        raise StudyError(f"{out / 'folds.csv'} {why}, and nothing can be read without it. {made_again(out)}")
    folds = _read_folds(out / "folds.csv")
    first = folds[folds["repeat"] == folds["repeat"].iloc[0]]
    table = first[["name", "label", "case"]].assign(path="", slide="", digest="").reset_index(drop=True)
    known = {"torn": about.get("torn", False)}
    manifest = Manifest(table, tuple(about["classes"]), about["by_case"], tuple(about["said"]), **known)
    arms = [Arm.parse(arm) for arm in about["arms"]]
    trials = plan_trials(arms, find_scheme(identity["scheme"], identity["folds"]).tested, identity["repeats"])
    run = Run(manifest, folds, trials, journal.read(), about["weights"], identity["seed"])
    damaged = len(journal.damaged())
    missing = {journal.path.name: f"has {count(damaged, 'damaged line')}"} if damaged else {}
    quarantine = pd.DataFrame(columns=["name", "reason"])
    loaded = Loaded(out, run, about, {}, identity, {}, quarantine, journal.inside(), missing, journal)
    read = {
        "study": ("study.yaml", lambda path: read_settings(path)[0]),
        "environment": ("environment.json", lambda path: json.loads(path.read_text(encoding="utf-8"))),
        "quarantine": ("quarantine.csv", _read_quarantine),
    }
    found = {field: reader(path) for field, (name, reader) in read.items() if (path := loaded.find(name))}
    return replace(loaded, **found)


def _read_quarantine(path):
    return read_csv(path, dtype=str, keep_default_na=False)


def _read_folds(path):
    """Read the table of folds; names such as NA and 007 stay as they are."""
    text = {"name": str, "case": str, "fold": str, "left_out": str}
    folds = read_csv(path, dtype=text, keep_default_na=False)
    folds = folds[[name for name in ("name", "case", "label", "repeat", "fold", "left_out") if name in folds]]
    numbered = folds["fold"].str.fullmatch(r"\d+").all()
    return folds.assign(fold=folds["fold"].astype(int)) if numbered else folds
