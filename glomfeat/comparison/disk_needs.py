"""How much disk space a study will need, and whether it is there, before any work."""

from dataclasses import dataclass, replace
from pathlib import Path

from sklearn.utils import gen_batches

from glomfeat.core.arms import FLOOR
from glomfeat.core.cache import digest_of
from glomfeat.core.disk import CACHE, OUT, check_room, room
from glomfeat.core.memory import format_bytes
from glomfeat.features.changed import changed_feature, changes_of
from glomfeat.features.extract import TABLE_ROWS
from glomfeat.features.pixels import Pixels
from glomfeat.features.seen import plain
from glomfeat.features.table import Table
from glomfeat.models.reducers.fit import leaves_as_is, parse_reducer

REPORT_BYTES = 2_500_000  # a page with figures for a paper
SCORE_BYTES, PREDICTION_BYTES, RECORD_BYTES = 20, 20, 1000  # per row in journal, in predictions; per trial


@dataclass(frozen=True)
class Takes:
    """Bytes that are still to be written.

    Attributes
    ----------
    cache : int
        Pixels and features.
    reductions : int
        At most; before features are known, it is not known which reductions are stored.
    out : int
        Approximate.
    """

    cache: int
    reductions: int
    out: int


def disk_needs(prepared, found, done):
    """Find out what a study will still write.

    Parameters
    ----------
    prepared : Prepared
    found : Survey
    done : dict
        As `glomfeat.results.journal.Journal.done` returns it.

    Returns
    -------
    Takes
    """
    changes = changes_of(prepared.study.perturb)
    cache = _of_features(prepared, found, prepared.study.perturb)
    cache += sum(_of_features(there.prepared, there) for there in [*found.places.values(), *found.copies])
    study, n = prepared.study, len(prepared.manifest)
    left = [trial for trial in prepared.all_trials if trial.key not in done]
    tested, several = max(1, study.tested), len(prepared.manifest.classes)
    of_row = (SCORE_BYTES + PREDICTION_BYTES) * (several if several > 2 else 1)
    out = REPORT_BYTES + len(left) * (RECORD_BYTES + of_row * n // tested)
    # scores of changed images, which only the journal holds
    out += len(left) * len(changes) * (RECORD_BYTES + SCORE_BYTES * (several if several > 2 else 1) * n // tested)
    elsewhere = sum(len(one.manifest) for one in prepared.cohorts) * len(prepared.arms)
    out += elsewhere * of_row
    return Takes(cache, _of_reductions(prepared, found.widths, left), out)


def _of_features(prepared, found, perturbed=()):
    """Bytes of pixels and features of images that are not stored yet."""
    features = sum(
        missing_rows(prepared.store, found.shards, key) * row_bytes
        for view in found.views
        for key, row_bytes in _stored_of(view, found.widths, perturbed)
    )
    return features + sum(_missing_of_table(prepared, feature, found.widths) for feature in prepared.features)


def missing_rows(store, shards, key):
    """How many rows of some shards are not stored under a key."""
    return sum(len(rows) for k, rows in enumerate(shards.rows) if not store.has(shards.key(key, k)))


def _stored_of(view, widths, perturbed):
    """Yield the key and the bytes per row of everything stored for one way of reading images."""
    changes = changes_of(perturbed, view.preprocess.stain)
    for base in (one.key for one in view.each):
        yield base, view.preprocess.size**2 * 3
        for feature in view.pace.features:
            if not isinstance(plain(feature), Pixels) and feature.name in widths:
                yield {**feature.key, **base}, widths[feature.name] * 4
    before = replace(view.preprocess, stain=None)  # stains are normalised after the change
    if changes and view.preprocess.stain:
        yield before.key, before.size**2 * 3
    for feature in view.pace.features if changes else ():
        if feature.name in widths:
            row_bytes = widths[feature.name] * (1 if isinstance(plain(feature), Pixels) else 4)
            of = (changed_feature(feature, one, view.preprocess).key for one in changes)
            yield from (({**key, **before.key}, row_bytes) for key in of)


def _missing_of_table(prepared, feature, widths):
    if not isinstance(feature, Table):
        return 0
    names = prepared.manifest.table["name"].tolist()
    parts = [names[part] for part in gen_batches(len(names), TABLE_ROWS)]
    missing = (part for part in parts if not prepared.store.has({**feature.key, "names": digest_of(part)}))
    return sum(map(len, missing)) * widths[feature.name] * 4


def _of_reductions(prepared, widths, left):
    """Bytes of reductions: one for each split of each reducer and feature, and at most as many inner ones as folds."""
    splits = {}
    for trial in left:
        arm = trial.arm
        if arm.feature in widths and str(arm) != FLOOR and not leaves_as_is(arm.reducer, widths[arm.feature]):
            splits.setdefault((prepared.joining.base(arm.feature), arm.reducer), set()).add((trial.repeat, trial.fold))
    inner = 1 + prepared.study.tested
    return sum(
        len(of) * inner * len(prepared.manifest) * (parse_reducer(reducer)[1] or widths[feature]) * 4
        for (feature, reducer), of in splits.items()
    )


def check_disk(prepared, takes, say):
    """Refuse a study whose pixels, features and tables cannot fit, and say if its reductions may not.

    Parameters
    ----------
    prepared : Prepared
    takes : Takes
    say : callable

    Raises
    ------
    DiskError
        There is too little space.
    """
    cache, out = _places(prepared)
    check_room([(cache, CACHE, takes.cache), (out, OUT, takes.out)])
    free = room(cache)
    if free is not None and takes.cache + takes.reductions > free:
        say(
            f"disk: reductions may take up to {format_bytes(takes.reductions)} more in {cache}, of which "
            f"{format_bytes(max(0, free - takes.cache))} are left: a run that stops there goes on where it stopped"
        )


def disk_in_words(prepared, takes):
    """Lines on what cache and output will need, and how much is free."""
    cache, out = _places(prepared)
    bundles = " besides bundles" if prepared.study.save_models else ""
    more = f", and up to {format_bytes(takes.reductions)} of reductions" if takes.reductions else ""
    for what, place, needs, rest in (("cache", cache, takes.cache, more), ("output", out, takes.out, bundles)):
        free = room(place)
        there = "" if free is None else f"; {format_bytes(free)} are free"
        yield f"disk: the {what} {place} takes about {format_bytes(needs)} more{rest}{there}"


def _places(prepared):
    return Path(prepared.store.folder), Path(prepared.study.out).expanduser()
