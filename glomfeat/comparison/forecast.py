"""What a run would do: trials, bytes, what is stored already, and how long the rest takes."""

import math
import time
import warnings
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import ParameterGrid

from glomfeat.checks.data.duplicates import pair_seconds
from glomfeat.comparison.cohorts import left_to_score
from glomfeat.comparison.disk_needs import check_disk, disk_in_words, disk_needs, missing_rows
from glomfeat.comparison.folder import check_out, journal_of
from glomfeat.comparison.near_copies import copies_to_look_at, search_need
from glomfeat.comparison.net_times import net_seconds_of
from glomfeat.comparison.on_cluster import opened
from glomfeat.comparison.perturbed import left_to_change
from glomfeat.comparison.plans import plan_arms_of
from glomfeat.comparison.survey import survey
from glomfeat.core.arms import FLOOR
from glomfeat.core.memory import Need, format_bytes
from glomfeat.core.progress import track
from glomfeat.core.threads import limited_threads
from glomfeat.core.words import number_of
from glomfeat.core.workers import Call, how_many
from glomfeat.data.splits import least_holders
from glomfeat.features.base import Handcrafted
from glomfeat.features.budget import is_network
from glomfeat.features.changed import changed_feature, changes_of
from glomfeat.features.pixels import Pixels
from glomfeat.features.seen import plain
from glomfeat.features.users import describe_rows
from glomfeat.models.card import planned_on_card
from glomfeat.models.heads.built_in import entry_of, make_head
from glomfeat.models.reducers.fit import leaves_as_is, parse_reducer, prefixes_of

WARM_ROWS, TIMED_ROWS = 50, (400, 1600)
MANY_ROWS, TIMED_OF_MANY = 20_000, (1600, 6400)  # many rows cannot be extrapolated from a thousandth of them
INNER_ROWS = 0.75  # share of the training rows that inner models learn from
COUNTED = "total and done: images, fits of reducers (FEATURE/REDUCER), and trials of arms"
TIMED_COLUMNS = 2000  # with more columns, a fit is assumed to take proportionally longer


@dataclass(frozen=True)
class Stage:
    """A stage of the work.

    Attributes
    ----------
    name : str
    total, done : int
        Images or trials.
    disk_bytes : int
        Disk space for its result.
    need : Need
        Memory for each call that runs in parallel, besides what its process holds.
    at_once : int
        How many run in parallel.
    left_s : float
        Seconds; NaN if nothing has been timed yet.
    note : str
    """

    name: str
    total: int
    done: int
    disk_bytes: int
    need: Need
    at_once: int
    left_s: float
    note: str = ""


def make_plan(prepared):
    """List the stages of a run.

    Decoding and features are timed here and now on a few images, networks on a step or two, and heads on small random
    data of two sizes. The time of reductions follows from their operations and the speed of a matrix product. If the
    journal holds trials of the same arm, their times are used.

    Parameters
    ----------
    prepared : Prepared

    Returns
    -------
    list of Stage
    """
    return _stages(prepared, survey(prepared), journal_of(prepared.study))


def _stages(prepared, found, journal):
    stages = [stage for view in found.views for stage in _plan_features(prepared, found, view)]
    trials, seconds = _plan_trials(prepared, found, journal)
    stages += [
        *_plan_copies(prepared, found, journal),
        *_plan_cohorts(prepared, found.places, trials, seconds, journal),
    ]
    return [*stages, *_plan_trained_again(prepared, found, trials, seconds, journal), *trials]


def _plan_trained_again(prepared, found, trials, seconds, journal):
    """Stages for networks that must be trained again, because none is kept, to score images with further changes."""
    left, stages, of = left_to_change(prepared, journal), [], {stage.name: stage for stage in trials}
    done = journal.done()
    for arm in (arm for arm in prepared.arms if arm.net and left):
        keys = [trial.key for trial in prepared.trials if trial.arm == arm]
        again = [key for key in keys if key in left]
        if again:
            image_s, often = _image_s([done[key] for key in again]), Counter(tuple(left[key]) for key in again)
            given = prepared, found, arm.net
            changed_s = sum(n * _changed_seconds(*given, names, image_s) for names, n in often.items())
            takes, own = len(again) * seconds[arm] + changed_s, of[str(arm)]
            parts = len(keys), len(keys) - len(again), 0, own.need, own.at_once, takes / own.at_once
            stages.append(Stage(f"{arm} trained again for changed images", *parts))
    return stages


def _image_s(records):
    """Seconds to score an image, as measured in finished trials of a network."""
    return float(np.mean([record["predict_s"] / max(1, len(record["scores"])) for record in records]))


def _changed_seconds(prepared, found, net, names, image_s):
    """Seconds to score the changed images of one trial of a network."""
    changes, read = changes_of(names), prepared.view_of_net(net)
    if read.stain:  # such networks score no changed image
        return 0.0
    looked = [view for view in found.views if view.preprocess == read]
    change_s = _change_seconds(changes, looked[0].pixels, looked[0].sizes) if looked else 0.0
    return len(changes) * len(prepared.manifest) / len(prepared.study.split.tested) * (image_s + change_s)


def _plan_copies(prepared, found, journal):
    """The search for changed copies of images of DATA in cohorts, as one stage: describing and comparing images."""
    if prepared.manifest.source or not left_to_score(prepared, journal):
        return []
    name = "search for changed copies in cohorts"
    need = max((search_need(prepared, one) for one in prepared.cohorts), key=lambda need: need.bytes)
    if not found.copies:
        return [Stage(name, 0, 0, 0, need, 1, 0.0, f"skipped: needs {format_bytes(need.bytes)}")]
    parts = [stage for one in found.copies for view in one.views for stage in _plan_features(one.prepared, one, view)]
    ours, *there = (len(one.prepared.manifest) for one in found.copies)
    view, feature = found.copies[0].views[0], found.copies[0].prepared.features[1]
    look_s = pair_seconds(describe_rows(feature, view.pixels, view.sizes))
    look_s *= sum(copies_to_look_at(ours, many) for many in there) / prepared.study.jobs
    done = sum(stage.done for stage in parts if stage.name == feature.name)
    disk = sum(stage.disk_bytes for stage in parts)
    return [Stage(name, ours + sum(there), done, disk, need, 1, look_s + sum(stage.left_s for stage in parts))]


def _plan_cohorts(prepared, places, trials, seconds, journal):
    """Decoding and features for images of other places, and fitting arms on all images to score them."""
    stages = []
    for name, there in places.items():
        parts = (stage for view in there.views for stage in _plan_features(there.prepared, there, view))
        stages += [replace(stage, name=f"{name}: {stage.name}") for stage in parts]
    if prepared.cohorts:
        arms, left = prepared.arms, left_to_score(prepared, journal)
        takes = sum(seconds.get(arm, 0.0) for arm in left) / prepared.study.split.trained_share
        need = max((stage.need for stage in trials), key=lambda need: need.bytes)
        at_once, done = _at_once(prepared, need, max(1, len(left))), len(arms) - len(left)
        stages.append(
            Stage("arms fitted on all images, for cohorts", len(arms), done, 0, need, at_once, takes / at_once)
        )
    return stages


def _plan_features(prepared, found, view):
    """Decoding for one way of reading images, and each feature of pixels that are read so."""
    side, each = view.preprocess.size, [one.key for one in view.each]
    n, needs = sum(map(len, found.shards.rows)), view.pace.needs

    def stage(name, keys, columns, itemsize, need, at_once, seconds):
        total = n * len(keys)
        done = total - sum(missing_rows(prepared.store, found.shards, key) for key in keys)
        return Stage(name, total, done, total * columns * itemsize, need, at_once, (total - done) * seconds / at_once)

    workers, seconds = prepared.cluster.workers if prepared.cluster else 0, view.decode_s / view.pace.threads
    name = "decode" if len(found.views) == 1 else f"decode to {_square(view, found.views)}"
    stages = [stage(name, each, side**2 * 3, 1, needs["decode"], workers or 1, seconds)]
    changes = changes_of(prepared.study.perturb, view.preprocess.stain)
    before = replace(view.preprocess, stain=None).key
    change_s = _change_seconds(changes, view.pixels, view.sizes)

    def changed_stage(feature, itemsize, need, at_once, seconds):
        of = [
            stage(
                "",
                [{**changed_feature(feature, one, view.preprocess).key, **before}],
                found.widths[feature.name],
                itemsize,
                need,
                at_once,
                seconds + change_s,
            )
            for one in changes
        ]
        sums = (sum(getattr(one, part) for one in of) for part in ("total", "done", "disk_bytes"))
        return Stage(f"{feature.name} of changed images", *sums, need, at_once, sum(one.left_s for one in of))

    for feature in view.pace.features:
        if feature.name not in found.widths:
            continue
        if isinstance(plain(feature), Pixels):
            stages += [changed_stage(feature, 1, needs["decode"], 1, 0.0)] if changes else []
            continue
        describe_rows(feature, view.pixels[:1], view.sizes[:1])  # the first call builds the network
        start = time.perf_counter()
        describe_rows(feature, view.pixels, view.sizes)
        batch = feature.at_once(side)
        seconds = (time.perf_counter() - start) / (math.ceil(len(view.pixels) / batch) * batch)
        if is_network(feature):
            feature.release()
        need = needs["networks" if is_network(feature) else "handcrafted"]
        at_once = workers or (view.pace.workers if isinstance(plain(feature), Handcrafted) else 1)
        keys, width = [{**feature.key, **base} for base in each], found.widths[feature.name]
        stages.append(stage(feature.name, keys, width, 4, need, at_once, seconds))
        stages += [changed_stage(feature, 4, need, at_once, seconds)] if changes else []
    return stages


def _square(view, views):
    """How images are decoded, in words, with details in which several ways differ."""
    read = view.preprocess
    said = [f"{read.size} px, {read.filter}"]
    if len({one.preprocess.padding for one in views}) > 1:
        said.append(read.padding)
    if any(one.preprocess.stain for one in views):
        said.append(read.stain.label if read.stain else "stain as it is")
    return ", ".join(said)


def _change_seconds(changes, pixels, sizes):
    """Seconds to change an image, averaged over changes, timed on one image."""
    start = time.perf_counter()
    for change in changes if len(pixels) else ():
        change.apply(pixels[:1], sizes[:1])
    return (time.perf_counter() - start) / max(1, len(changes))


def _plan_trials(prepared, found, journal):
    """The sums that folds share, the reductions, and the trials of each arm; then the seconds of a trial, by arm."""
    study, records, widths = prepared.study, journal.done(), found.widths
    plans, reductions, trials, timed, each = plan_arms_of(prepared, widths), {}, [], {}, {}
    speed, manifest = _operations_per_second(), prepared.manifest
    inner = study.split.inner_fits(least_holders(manifest.labels, manifest.cases))
    n_train = round(len(prepared.manifest) * study.split.trained_share)
    for arm, plan in track(plans.items(), "timing arms", len(plans)):
        keys = [trial.key for trial in prepared.all_trials if trial.arm == arm]
        done = [records[key] for key in keys if key in records]
        left = len(keys) - len(done)
        seconds = np.mean([record["fit_s"] + record["predict_s"] for record in done]) if done else 0.0
        changed_s = compile_s = 0.0
        if arm.net and left:
            seconds, image_s, compile_s = (seconds, _image_s(done), 0.0) if done else net_seconds_of(prepared, arm)
            own = sum(trial.arm == arm and trial.key not in records for trial in prepared.trials)
            changed_s = own * _changed_seconds(prepared, found, arm.net, study.perturb, image_s)
        elif left and not done and str(arm) != FLOOR and not arm.members:
            width, k = widths[arm.feature], parse_reducer(arm.reducer)[1]
            columns = (width if leaves_as_is(arm.reducer, width) else k or width) + prepared.joining.ahead(arm.feature)
            if (arm.head, columns) not in timed:
                timed[arm.head, columns] = _head_seconds(arm.head, columns, n_train, study.threads, inner)
            seconds = timed[arm.head, columns] * max(1, len(prefixes_of(arm.reducer)))
        each[arm] = seconds
        at_once = _at_once(prepared, plan.trial, len(keys))
        skipped = f"skipped: needs {format_bytes(plan.most.bytes)}" if plan.most.bytes > prepared.free else ""
        if any(plans[member].most.bytes > prepared.free for member in arm.members if member in plans):
            skipped = "skipped: a member is"
        if skipped:
            left = 0
        takes = (left * seconds + changed_s * bool(left)) / at_once + compile_s * bool(left)
        trials.append(Stage(str(arm), len(keys), len(done), 0, plan.trial, at_once, takes, skipped))
        if plan.route and not skipped:
            reductions.setdefault((prepared.joining.base(arm.feature), arm.reducer), []).append((plan.route, left))
    stages = []
    for (feature, reducer), parts in reductions.items():
        stages += _plan_reduction(prepared, feature, reducer, parts[0][0], max(left for _, left in parts), speed, inner)
    return stages + trials, each


def _plan_reduction(prepared, feature, reducer, route, left, speed, inner):
    """The stages of a feature's reductions, for outer and inner training rows.

    How many are stored is not known before features are.
    """
    n, k, tested = len(prepared.manifest), parse_reducer(reducer)[1], prepared.study.tested
    fits = round(tested * (1 + len(prepared.beside)) * (1 + inner))
    at_once, waiting = _at_once(prepared, route.fold, fits), round(left * (1 + inner))
    name = f"{feature}/{reducer}" + (f" by the {route.name} route" if route.name else "")
    seconds = route.flops / speed * waiting / tested if route.flops else math.nan
    stages = [Stage(name, fits, fits - waiting, fits * n * k * 4, route.fold, at_once, seconds / at_once)]
    if route.shared:
        # the reductions' stage has the time of both
        stages.insert(0, Stage(f"{feature}: sums for pca", 1, int(not left), 0, route.shared, 1, 0.0))
    return stages


def _at_once(prepared, need, n):
    """How many of n calls run in parallel."""
    if prepared.cluster:
        return min(prepared.cluster.workers, n)
    return how_many([Call(None, need.bytes)] * n, prepared.study.jobs, prepared.budget)[0]


def _operations_per_second():
    """Speed of a product of float64 matrices in one thread, measured now."""
    a = np.random.default_rng(0).normal(size=(512, 512))
    with limited_threads(1):
        a @ a
        start = time.perf_counter()
        a @ a
    return 2 * 512**3 / (time.perf_counter() - start)


def _head_seconds(name, columns, n_train, threads, inner):
    """Rough estimate of the seconds of a trial, from fits on random data of two sizes."""
    columns, wider = min(columns, TIMED_COLUMNS), max(1, columns / TIMED_COLUMNS)
    head, taken, rng = make_head(name, 0), [], np.random.default_rng(0)
    settings = list(ParameterGrid(dict(head.grid)))
    reach = entry_of(name).rows_at_once(n_train)
    timed = TIMED_OF_MANY if reach >= MANY_ROWS else TIMED_ROWS
    estimator, sizes = head.estimator.set_params(**settings[-1]), [min(rows, reach) for rows in timed]
    for rows in (WARM_ROWS, *sizes):
        X, y = rng.normal(size=(rows, columns)).astype(np.float32), np.arange(rows) % 2
        with limited_threads(threads), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            estimator.fit(X, y)
            taken.append(time.perf_counter() - start)
    _, few, many = taken
    growth = math.log(many / few) / math.log(sizes[1] / sizes[0]) if sizes[1] > sizes[0] else 1.0
    fits = len(settings) * inner * INNER_ROWS + 1
    # only short fits gain from more rows: in the end all take at least linear time
    least = 1.0 if reach >= MANY_ROWS else 0.0
    return wider * fits * many * (reach / sizes[1]) ** min(max(growth, least), 2.0) * n_train / reach


def print_plan(prepared, console):
    """Print the stages of a run and their sums; on a cluster, as many calls run at once as it has workers now.

    Parameters
    ----------
    prepared : Prepared
    console : rich.console.Console

    Raises
    ------
    BudgetError, StudyError
        Nothing fits the budget, or the output folder holds another study.
    ClusterError
        As in `glomfeat.comparison.on_cluster.opened`.
    """
    with opened(prepared, console.out) as there:
        _print_plan(there, console)


def _print_plan(prepared, console):
    from rich.table import Table as Listing

    journal, found = check_out(prepared), survey(prepared, all_rows=True)
    stages = _stages(prepared, found, journal)
    listing = Listing(title=prepared.title, title_justify="left", caption=COUNTED, caption_justify="left")
    for column in ("stage", "total", "done", "disk", "memory each", "at once", "time left"):
        listing.add_column(column, justify="left" if column == "stage" else "right", overflow="fold")
    for s in stages:
        left = s.note or ("not timed yet" if math.isnan(s.left_s) else f"{s.left_s:.0f} s")
        sizes = [format_bytes(size) if size else "" for size in (s.disk_bytes, s.need.bytes)]
        listing.add_row(s.name, str(s.total), str(s.done), *sizes, str(s.at_once), left)
    console.print(listing)
    nets = {s.name: s.need.bytes for s in stages if s.name.startswith("net:")}
    for line in planned_on_card(prepared.study.device, nets, prepared.study.jobs):
        console.print(f"GPU memory of {line}", soft_wrap=True, markup=False, highlight=False)
    takes = disk_needs(prepared, found, journal.done())
    for line in disk_in_words(prepared, takes):
        console.out(line)
    trials = stages[-len(prepared.arms) :]
    timed = sum(s.left_s for s in stages if not math.isnan(s.left_s))
    untimed = any(math.isnan(s.left_s) and not s.note for s in stages)
    who, at_once = "all processes", number_of(prepared.study.jobs, "job")
    if prepared.cluster:
        who, at_once = "each worker", number_of(prepared.cluster.workers, "worker")
    console.out(
        f"{number_of(sum(s.total for s in trials), 'trial')}, {sum(s.done for s in trials)} done; budget "
        f"{format_bytes(prepared.budget)} for {who}, of which {format_bytes(prepared.budget - prepared.free)} "
        f"are kept for what they hold when idle; {at_once}; about {timed:.0f} s left"
        + (" besides what has not been timed yet" if untimed else "")
    )
    check_disk(prepared, takes, console.out)
