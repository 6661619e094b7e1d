"""Cohorts from other places: images that nothing is fitted on or chosen by, scored by arms fitted on all of DATA."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from glomfeat.comparison.fold_stains import whole_drawn
from glomfeat.comparison.joined import Joining, lines_on_cohort
from glomfeat.comparison.own_table import is_source
from glomfeat.core.arms import FLOOR, StudyError
from glomfeat.core.cache import digest_of
from glomfeat.core.plugins import did_you_mean
from glomfeat.core.words import number_of
from glomfeat.data.cases import named_alike
from glomfeat.data.embeddings.files import stem_of
from glomfeat.data.files import FolderError
from glomfeat.data.joined import JoinedError
from glomfeat.data.labels.classes import Known, spelling
from glomfeat.data.locate import FORCED, holds_features, path_of
from glomfeat.data.manifest import read_manifest
from glomfeat.data.problems import SHOWN, ManifestError
from glomfeat.data.tables.read import TableError, listed
from glomfeat.features.table import Alike, Table
from glomfeat.results.external import Cohort, alike_in_words

NAME = re.compile(r"[\w.-]+")
WRITE = "write --test NAME=PATH, with letters, digits, dots and dashes in NAME"


@dataclass(frozen=True)
class Other:
    """A cohort that has been read, with nothing computed yet.

    Attributes
    ----------
    name : str
    manifest : Manifest
        With the classes of DATA.
    features : dict of str to Feature
        Features that describe its images, by the name of the feature of DATA; without tables that describe only DATA.
    joining : glomfeat.comparison.joined.Joining
        Columns of DATA that are joined to features.
    """

    name: str
    manifest: object
    features: dict = field(default_factory=dict)
    joining: Joining = field(default_factory=Joining)

    @property
    def key(self):
        """What its scores depend on besides the arm: images, cases, rows of tables and values of columns."""
        tables = [feature.key for feature in self.features.values() if isinstance(feature, Table)]
        columns = self.joining.of(self.joining.alone, self.manifest)
        joined = [] if columns is None else [columns.digest]
        return digest_of([self.manifest.digest, json.dumps(tables, sort_keys=True), *joined])

    def describes(self, arm):
        """Whether everything that an arm reads is there."""
        reads = [self.joining.base(one.feature) for one in arm.members or [arm] if str(one) != FLOOR]
        return all(not feature or feature in self.features for feature in reads)

    def rows_of(self, feature):
        """The name under which the cohort's rows for an arm's feature were extracted; None if there are none.

        Parameters
        ----------
        feature : str
            Name of a feature of DATA.
        """
        base = self.joining.base(feature)
        return self.features[base].name if base in self.features else None


def split_test(text):
    """Split an argument of ``--test`` into name and place.

    Parameters
    ----------
    text : str
        ``NAME=PATH``, or a path whose last part without its suffix becomes the name.

    Returns
    -------
    name, place : str

    Raises
    ------
    StudyError
        It gives no name or no place, or the name cannot be used.

    Examples
    --------
    >>> split_test("north=/data/n.csv"), split_test("file:/data/south.parquet")
    (('north', '/data/n.csv'), ('south', 'file:/data/south.parquet'))
    """
    name, sign, place = text.partition("=")
    if not sign or "/" in name or Path(text).expanduser().exists():
        name, place = re.sub(r"[^\w.-]+", "-", stem_of(path_of(text))), text
    if not name or not place:
        raise StudyError(f"--test {text}: it does not name a cohort and a place: {WRITE}")
    if not NAME.fullmatch(name):
        other = re.sub(r"[^\w.-]+", "-", name).strip("-") or "north"
        raise StudyError(f"--test {text}: a cohort cannot be called {name!r}: {WRITE}, such as --test {other}={place}")
    return name, place


def read_cohorts(study, manifest, features, joining, say):
    """Read the cohorts of a study in the same way as DATA, and check that they share no images with DATA.

    Parameters
    ----------
    study : Study
    manifest : Manifest
        Of DATA.
    features : list
        Of DATA.
    joining : glomfeat.comparison.joined.Joining
        Columns of DATA that are joined to features.
    say : callable

    Returns
    -------
    tuple of Other

    Raises
    ------
    StudyError, ManifestError, FeatureError
        The message says what to do.
    """
    named = [split_test(text) for text in study.test]
    twice = next((name for k, (name, _) in enumerate(named) if name in [other for other, _ in named[:k]]), None)
    if twice:
        raise StudyError(f"--test: two cohorts are called {twice}: give them other names with --test NAME=PATH")
    called, found, seen = _called(study, manifest), [], set()
    for name, place in named:
        one = _read(study, manifest, features, name, place, called, seen, say)
        try:
            on_columns = lines_on_cohort(joining, manifest, one.manifest)
        except JoinedError as error:
            raise JoinedError(f"cohort {name}: {error}") from None
        for line in on_columns:
            say(f"warning: cohort {name}: {line}")
        found.append(replace(one, joining=joining))
    unused = [theirs for theirs in called if spelling(theirs) not in seen]
    if unused:
        classes = did_you_mean(unused[0], seen)
        raise StudyError(f"--map {unused[0]}={called[unused[0]]}: no cohort has a class {unused[0]!r}: {classes}")
    if found and not manifest.source:
        say("cohorts: no image lies in DATA too, byte for byte; changed copies are looked for before trials")
    return tuple(found)


def _called(study, manifest):
    """The names of other places for the classes of DATA."""
    if study.map and not study.test:
        raise StudyError(
            f"--map {study.map[0]}: it says what a cohort calls a class: give cohorts with --test NAME=PATH"
        )
    called = {}
    for text in study.map:
        theirs, own = _mapped(text, manifest.classes)
        other = next((name for name in called if spelling(name) == spelling(theirs)), theirs)
        if called.setdefault(other, own) != own:
            raise StudyError(
                f"--map {text}: {theirs!r} is mapped to {called[other]} already: say once which class of DATA it is"
            )
    return called


def _mapped(text, classes):
    """A cohort's name for a class, and that class of DATA; either name may hold an equals sign."""
    ours, parts = {spelling(name): name for name in classes}, text.split("=")
    for k in range(1, len(parts)):
        theirs, own = "=".join(parts[:k]).strip(), ours.get(spelling("=".join(parts[k:])))
        if theirs and own is not None:
            return theirs, own
    known = did_you_mean(text.partition("=")[2], classes)
    raise StudyError(f"--map {text}: write THEIRS=OURS, where OURS is a class of DATA: {known}")


def _read(study, manifest, features, name, place, called, seen, say):
    _refuse_other_kind(study, manifest, name, place)
    known, how = _Watched(manifest.classes, called), (study.groups, None, study.show_names, study.layout)
    try:
        asked = replace(study.asked, others=True)  # a cohort's classes may lie in folders, those of DATA in a table
        theirs = read_manifest(place, None, None, *how, asked, known=known, joined=study.with_)
    except (JoinedError, TableError) as error:
        needs = "; a cohort needs the columns of --with, so that arms that read them can score it"
        raise ManifestError(f"cohort {name}: {error}{needs if study.with_ else ''}") from None
    except ManifestError as error:
        raise ManifestError(f"cohort {name}: {error}") from None
    seen |= known.seen
    for line in theirs.said:
        say(f"cohort {name}: {line}")
    _refuse_shared(name, theirs, manifest)
    _warn_of_cases(name, theirs, manifest, study.show_names, say)
    return Other(name, theirs, _describe(manifest, theirs, features, name, say))


def _refuse_other_kind(study, manifest, name, place):
    """Refuse images if DATA is a feature table, or the reverse, before anything else about them is read."""
    try:
        tabular = holds_features(place, study.asked)
    except (FolderError, ManifestError) as error:
        raise ManifestError(f"cohort {name}: {error}") from None
    if tabular != bool(manifest.source):
        kinds = ["a feature table" if one else "images" for one in (tabular, manifest.source)]
        raise ManifestError(
            f"cohort {name}: {place} holds {kinds[0]} and DATA {kinds[1]}: give it in the same form as DATA"
        )


@dataclass(frozen=True)
class _Watched(Known):
    """Known classes that remember which labels were looked up."""

    seen: set = field(default_factory=set)

    def find(self, labels, problems, notes):
        self.seen.update(map(spelling, labels))
        return super().find(labels, problems, notes)


def _refuse_shared(name, theirs, manifest):
    """Refuse a cohort that holds images of DATA, byte for byte; rows of tables are compared when they are read."""
    if manifest.source:
        return
    ours = dict(zip(manifest.table["digest"], manifest.table["name"], strict=True))
    pairs = zip(theirs.table["name"], theirs.table["digest"], strict=True)
    shared = [f"{one} = {ours[digest]}" for one, digest in pairs if digest in ours]
    if shared:
        shown, lie = listed(shared, SHOWN), "lies" if len(shared) == 1 else "lie"
        of = f"{len(shared)} of its {number_of(len(theirs), 'image')} {lie} in DATA too"
        raise ManifestError(
            f"cohort {name}: {of}, byte for byte ({shown}): what "
            "an arm has learnt says nothing about another place; take them out of the cohort or of DATA"
        )


def _warn_of_cases(name, theirs, manifest, show_names, say):
    """Say how many cases of a cohort are named like cases of DATA: they may be the same patients."""
    if same := named_alike(theirs, manifest):
        which = f" ({listed(same, SHOWN)})" if show_names else ""
        said = alike_in_words(len(same), theirs.table["case"].nunique(), which)
        say(f"warning: cohort {name}: {said}; take them out, or rename the cases of the other place")


def _describe(manifest, theirs, features, name, say):
    """The features that describe the images of a cohort, by the name of the feature of DATA."""
    found, stood_for = {}, _stood_for(manifest, features) if theirs.source else None
    for feature in features:
        if not isinstance(feature, Table):
            found[feature.name] = feature
        elif feature is stood_for:
            table = Alike(theirs.source, feature.asked, tuple(theirs.table["name"]), feature)
            table.open()
            found[feature.name] = table
            if not is_source(FORCED + feature.path, manifest):
                stands = f"{theirs.source} stands for {feature.path}"
                say(f"cohort {name}: {stands}: arms that read it are scored on these rows")
        else:
            say(f"cohort {name}: {feature.name} is a table of images of DATA: no arm that reads it is scored there")
    return found


def _stood_for(manifest, features):
    """The table for which the table of a cohort stands: DATA itself, else the only one; None if there are several."""
    tables = [feature for feature in features if isinstance(feature, Table)]
    own = [table for table in tables if is_source(FORCED + table.path, manifest)]
    return (own or (tables if len(tables) == 1 else [None]))[0]


def places_of(prepared):
    """The cohorts as studies with the same options, for finding out what their images and features need.

    Parameters
    ----------
    prepared : Prepared

    Returns
    -------
    dict of str to Prepared
        By the cohort's name.
    """
    if not prepared.cohorts:
        return {}
    there = whole_drawn(prepared)
    plain = replace(there, study=replace(there.study, perturb=(), save_models=False), cohorts=())
    return {one.name: replace(plain, manifest=one.manifest, features=[*one.features.values()]) for one in there.cohorts}


def left_to_score(prepared, journal):
    """The arms and cohorts that have no scores yet.

    Parameters
    ----------
    prepared : Prepared
    journal : Journal

    Returns
    -------
    dict of Arm to list of Other
    """
    if not prepared.cohorts:
        return {}
    done, found = journal.external(), {}
    for arm in prepared.arms:
        left = [
            one
            for one in prepared.cohorts
            if one.describes(arm) and done.get((one.key, str(arm)), {}).get("status") != "done"
        ]
        if left:
            found[arm] = left
    return found


def scored_cohorts(prepared, journal):
    """The cohorts of a study, with their records in the journal.

    Parameters
    ----------
    prepared : Prepared
    journal : Journal

    Returns
    -------
    tuple of glomfeat.results.external.Cohort
    """
    records, aside, found = journal.external(), journal.aside(), []
    for one in prepared.cohorts:
        bad = aside.get(one.key, [])
        kept = one.manifest
        if bad:
            kept = kept.keep(~kept.table["name"].isin([row["name"] for row in bad]).to_numpy())
        own = {arm: record for (key, arm), record in records.items() if key == one.key}
        for arm in (str(arm) for arm in prepared.arms if not one.describes(arm)):
            own[arm] = {
                "status": "skipped",
                "reason": "it reads a table of images of DATA, without rows of the cohort's",
            }
        found.append(Cohort(one.name, kept, [*bad, *one.manifest.unread], own))
    return tuple(found)
