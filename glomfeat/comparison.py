"""The main job: from a study's options to its journal and tables."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import joblib
import pandas as pd
import yaml
from threadpoolctl import threadpool_limits

from glomfeat.budget import free_bytes
from glomfeat.bundle.save import save_models
from glomfeat.clusters import opened
from glomfeat.ensemble import resolve_ensembles
from glomfeat.features import FeatureError, make_feature
from glomfeat.features.base import view_of
from glomfeat.features.extract import extract, refuse_blind
from glomfeat.features.needs import is_network
from glomfeat.features.table import Table
from glomfeat.features.telling import lines_on_tables
from glomfeat.functions import find_metrics
from glomfeat.given import count_folds, read_parts
from glomfeat.harness import run
from glomfeat.heads import make_head
from glomfeat.images import Preprocess
from glomfeat.importance import importance_table
from glomfeat.journal import Journal
from glomfeat.manifest import check_parts, read_manifest
from glomfeat.memory import PeakMemory, budget_bytes, format_bytes, tree_bytes
from glomfeat.naming import pseudonyms
from glomfeat.neighbours import neighbours_table
from glomfeat.nets import check_net, find_architecture, net_bytes, net_seconds, net_side, starts_from
from glomfeat.own import EXAMPLES, ONCE, coded
from glomfeat.phantom import built_in
from glomfeat.planning import check_memory
from glomfeat.reducers import parse_reducer
from glomfeat.report.comparisons import comparisons_table, detectable_in_words
from glomfeat.report.environment import environment
from glomfeat.report.leak import leak_price_table
from glomfeat.report.learning import learning_table
from glomfeat.report.load import about_run, note_about
from glomfeat.report.own import say_missing
from glomfeat.report.reliability import reliability_table
from glomfeat.report.show import to_markdown
from glomfeat.report.tables import TAKEN, Run, curves_table, predictions_table, results_table, trials_table
from glomfeat.scheme import given_column, split_in_words
from glomfeat.splits import (
    HOLDOUT,
    IMAGE,
    SHARES,
    cases_prefix,
    check_folds,
    few_in_words,
    make_folds,
    make_image_folds,
    make_smaller_folds,
    prefix_share,
)
from glomfeat.store import Store, cache_folder, digest_of
from glomfeat.stored import in_use
from glomfeat.study import DEFAULT_FEATURES, Arm, StudyError, plan_arms, plan_trials
from glomfeat.tasks import make_tasks
from glomfeat.workers import no_workers_left

FLOATS = "%.6g"
EXPLAINED = ("neighbours.csv", "importance.csv")


@dataclass(frozen=True)
class Prepared:
    """A study whose options have been checked against the data: nothing has been computed yet.

    Attributes
    ----------
    study : Study
        With everything that was left open filled in.
    manifest : Manifest
    features : list
        Of `glomfeat.features.make_feature`.
    preprocess : Preprocess
        Of networks that are trained, and of features that do not read images in a way of their own.
    store : Store
    trials : list of Trial
        On folds by case.
    budget : int
        Bytes.
    nets : dict of str to str
        The networks, by name, with what each starts from.
    metrics : dict of str to callable
        Of one's own, by the name of their column.
    cluster : glomfeat.clusters.Cluster or None
        Where it is run, if not on this machine; see `glomfeat.clusters.opened`.
    """

    study: object
    manifest: object
    features: list
    preprocess: Preprocess
    store: Store
    trials: list
    budget: int
    nets: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)
    cluster: object = None

    @property
    def identity(self):
        """What makes two runs the same study."""
        nets = [f"{name}: {start}" for name, start in self.nets.items()]
        found = self.study.identity(self.manifest, [feature.name for feature in self.features], nets)
        found |= {"reads": self.reads} if self.reads else {}
        gaps = any(isinstance(feature, Table) and feature.imputes for feature in self.features)
        found |= {"missing": self.study.missing} if gaps else {}
        if "given" in self.manifest.table:
            found |= {"given": digest_of(self.manifest.table["given"].astype(str).tolist())}
        ensembles = list(dict.fromkeys(str(trial.arm) for trial in self.trials if trial.arm.members))
        return found | ({"ensembles": ensembles} if ensembles else {})

    @property
    def reads(self):
        """Side and filter of the images of the features that read them in a way of their own, by the feature's name."""
        own = {f.name: view_of(f, self.preprocess) for f in self.features if getattr(f, "reads", None)}
        return {name: [view.size, view.filter] for name, view in own.items()}

    @property
    def beside(self):
        """What stands before the names of further folds on which the same trials are run."""
        learning = [cases_prefix(share) for share in SHARES] if self.study.learning_curve else []
        return ([IMAGE] if self.study.leak_price else []) + learning

    @property
    def all_trials(self):
        """All that is run."""
        return self.trials + [trial for prefix in self.beside for trial in self.trials_on(prefix)]

    def trials_on(self, prefix):
        """The study's trials on folds whose names begin so."""
        return [replace(trial, fold=f"{prefix}{trial.fold}") for trial in self.trials]

    @property
    def free(self):
        """Bytes of the budget that the plan may use."""
        # the budget of a cluster's worker, which holds no tables of all images, is its own
        return free_bytes(self.budget, bool(self.weights), 0 if self.cluster else len(self.manifest))

    @property
    def weights(self):
        """Where weights come from, by the feature's name or the network's arm."""
        of_features = {feature.name: feature.weights for feature in self.features if feature.weights}
        return of_features | {str(Arm(net=name)): start for name, start in self.nets.items()}

    def net_settings(self, name):
        """The settings with which a network is made."""
        study = self.study
        side = net_side(name) if find_architecture(name) else self.preprocess.size
        settings = {"side": side, "weights": study.weights, "device": study.device, "preset": study.preset}
        return settings | study.recipe()

    @property
    def title(self):
        """A line that says what was compared, on what, and how it was split."""
        study, manifest = self.study, self.manifest
        folds = split_in_words(study.scheme, study.folds)
        times = f" x {study.repeats} repeats" if study.repeats > 1 else ""
        return f"{manifest.said[0]}; {folds}{times}, {manifest.split}"


def prepare(study, say, manifest=None):
    """Read the data set, resolve every name, and check all that can be checked before work begins.

    Parameters
    ----------
    study : Study
    say : callable
        Called with each line that the user should read.
    manifest : Manifest, optional
        Instead of reading ``study.data``, which then only tells where the images lie.

    Returns
    -------
    Prepared

    Raises
    ------
    ManifestError, PluginError, FeatureError, WeightsError, StudyError, ValueError
        With the remedy.
    """
    study.check()
    budget, cache = budget_bytes(study.memory), cache_folder(study.cache)
    jobs = study.jobs or max(1, joblib.cpu_count(only_physical_cores=False) // study.threads)
    for name in study.heads:
        make_head(name, 0)
    for name in study.reducers:
        parse_reducer(name)
    for name in study.nets:
        check_net(name)
    metrics = find_metrics(study.metrics, TAKEN)
    kinds = {kind: tuple(coded(kind, one) for one in getattr(study, kind)) for kind in EXAMPLES}
    study = replace(study, **kinds, threshold=coded("threshold", study.threshold))
    data, weights = study.data, study.weights
    if data is None and manifest is None:
        data = built_in(cache, jobs, say)
    study = replace(study, jobs=jobs, weights=weights or ("imagenet" if study.data else "auto"))
    column = given_column(study.scheme)
    parts = None if column else study.folds if study.scheme == "cv" else len(HOLDOUT)
    if manifest is None:
        how = study.groups, parts, study.show_names, study.layout, study.asked, column
        manifest = read_manifest(data, study.labels, study.positive, *how)
    else:
        check_parts(manifest, parts, study.show_names, column)
    if column:
        study = replace(study, folds=count_folds(read_parts(manifest.table["given"], column)))
    for line in manifest.lines:
        say(line)
    if manifest.source and study.features == DEFAULT_FEATURES:
        study = replace(study, features=(f"file:{manifest.source}",))
    if study.leak_price and not manifest.by_case:
        raise StudyError(
            f"--leak-price: every image of {study.data} is a case of its own, and none can leak; leave it out, or say "
            "where the case is with --groups"
        )

    def make(name, weights, side):
        given = study.layer, study.device, study.precision, study.asked, manifest.table["name"], side
        return make_feature(name, weights, *given)

    features = [make(name, study.weights, study.size) for name in study.features]
    if study.random_twin:
        features += _random_twins(study, features, make, say)
    names = [feature.name for feature in features]
    if len(set(names)) < len(names):
        raise StudyError(f"two features have one name: {', '.join(names)}; rename one")
    if manifest.source and study.nets:
        raise FeatureError(f"{', '.join(study.nets)}: {study.data} is a feature table without images; leave out --nets")
    refuse_blind(manifest, features, study.data)
    arms = plan_arms(names, study.reducers, study.heads, study.nets)
    arms += resolve_ensembles(study.ensembles, arms, dict(zip(names, study.features, strict=False)))
    prepared = Prepared(
        study,
        manifest,
        features,
        Preprocess.asked(study.size, study.padding, study.icc),
        Store(str(cache)),
        plan_trials(arms, study.scheme, study.folds, study.repeats),
        budget,
        {name: starts_from(name, study.weights) for name in study.nets},
        metrics,
    )
    for line in lines_on_tables(features, manifest):
        say(line)
    for name, weights in prepared.weights.items():
        say(f"{name}: weights {weights}")
    for feature in features:
        if note := feature.note(prepared.preprocess.size) if hasattr(feature, "note") else "":
            say(f"{feature.name}: {note}")
    return prepared


def _random_twins(study, features, make, say):
    """Each pretrained feature once more, with random weights, reading the same pixels; says which have none."""
    pretrained = [(name, feature) for name, feature in zip(study.features, features, strict=True) if feature.weights]
    if not pretrained:
        say("random twins: no feature has weights")
    twins = []
    for name, feature in pretrained:
        if feature.weights.startswith("random"):
            say(f"{feature.name}: no random twin, for its own weights are random")
            continue
        own = getattr(feature, "reads", None)
        twin = make(name, "none", own[0] if own else study.size)
        if own:
            twin = replace(twin, follows=True, weights_found=replace(twin.weights_found, reads=own))
        if twin.name == feature.name:
            say(f"{feature.name}: no random twin, for it brings its own weights")
        else:
            twins.append(twin)
    return twins


def open_out(prepared):
    """Open the output folder: a new one, or one that holds the same study.

    Returns
    -------
    Journal

    Raises
    ------
    StudyError
        The folder holds another study (the differences are named) or something else.
    """
    out = Path(prepared.study.out).expanduser()
    journal, now = Journal(out / "journal.jsonl"), prepared.identity
    there = journal.header()
    if there is None:
        if out.is_dir() and any(out.iterdir()):
            raise StudyError(f"{out} holds files and no study: choose another folder with --out")
        out.mkdir(parents=True, exist_ok=True)
        journal.start(now)
        return journal
    changed = differences(there, now)
    if changed:
        raise StudyError(f"{out} holds another study ({changed}): choose another folder with --out")
    return journal


def differences(there, now):
    """In what two identities of studies are not the same, in words; empty where they are.

    Examples
    --------
    >>> differences({"seed": 0, "folds": 5}, {"seed": 1, "folds": 5})
    'seed: 0 there, 1 now'
    """
    names = [name for name in {**now, **there} if there.get(name) != now.get(name)]
    if names == ["own parts"] and (same := _changed_code(there.get("own parts", ""), now.get("own parts", ""))):
        return f"the code of {', '.join(same)} has changed"
    return "; ".join(f"{name}: {there.get(name)} there, {now.get(name)} now" for name in names)


def _changed_code(there, now):
    """Which of the user's own parts, as `Study.identity` lists them, are of other code; empty if it cannot be told."""
    digests = [dict(part.rpartition("@")[::2] for part in parts.split(", ") if part) for parts in (there, now)]
    if digests[0].keys() != digests[1].keys() or any(one.startswith(ONCE) for one in digests[0].values()):
        return []
    return [name for name, digest in digests[0].items() if digests[1][name] != digest]


def compare(prepared, say):
    """Run what is not done yet and write every table.

    Parameters
    ----------
    prepared : Prepared
    say : callable
        Called with each line that the user should read.

    Returns
    -------
    run : Run
    results : pandas.DataFrame
        Of `glomfeat.report.tables.results_table`.
    quarantine : list of dict
        Images that could not be read.
    """
    watch = PeakMemory(tree_bytes, every_s=1.0)
    with in_use(prepared.store.folder), no_workers_left(), opened(prepared, say) as prepared, watch as memory:
        check_memory(prepared, say)
        found = _compare(prepared, say)
    peak, budget = format_bytes(memory.peak_bytes), format_bytes(prepared.budget)
    of = "the processes of this machine" if prepared.cluster else "all processes together"
    say(f"memory: {of} held at most {peak}; the budget is {budget}")
    return found


def _compare(prepared, say):
    study, out = prepared.study, Path(prepared.study.out).expanduser()
    journal = open_out(prepared)
    note_about(journal, about_run(prepared))
    (out / "study.yaml").write_text(yaml.safe_dump(study.plain(), sort_keys=False, allow_unicode=True))
    nets = {name: prepared.net_settings(name) for name in prepared.nets}
    extracted = extract(
        prepared.manifest,
        prepared.features,
        prepared.preprocess,
        prepared.store,
        study.jobs,
        study.on_error,
        [settings["side"] for settings in nets.values()],
        prepared.free,
        prepared.cluster,
    )
    if extracted.profiles:
        how = "kept as the numbers in the file" if study.icc == "keep" else "brought to sRGB; --icc keep leaves them"
        say(f"colours: {extracted.profiles} images have an embedded ICC profile that is not sRGB's: {how}")
    if extracted.quarantine:
        say(f"{len(extracted.quarantine)} images cannot be read and were set aside: see {out / 'quarantine.csv'}")
    aside = [*extracted.quarantine, *prepared.manifest.unread]
    pd.DataFrame(aside, columns=["name", "reason"]).to_csv(out / "quarantine.csv", index=False)
    manifest = extracted.manifest
    folds = make_folds(manifest, study.scheme, study.folds, study.repeats, study.seed)
    _write_folds(folds, manifest, out / "folds.csv")
    low, high = check_folds(folds)
    say(f"folds: {manifest.split}, verified; {manifest.classes[-1]} is {low:.1%} to {high:.1%} of a fold")
    if few := few_in_words(manifest):
        say(few)
    standardise = {feature.name: feature.standardise for feature in prepared.features}
    needs = {name: (settings, net_bytes(name, settings, len(prepared.manifest))) for name, settings in nets.items()}
    rest = standardise, prepared.store, prepared.free, needs
    tasks = make_tasks(prepared.trials, study, folds, extracted, *rest)
    own, others = list(tasks), _other_folds(prepared, folds, say)
    for prefix, other in others.items():
        # who splits by image does so inside the training images as well
        seen = replace(manifest, by_case=False, table=manifest.table.assign(case=manifest.table["name"]))
        of = replace(extracted, manifest=seen) if prefix == IMAGE else extracted
        tasks += make_tasks(prepared.trials_on(prefix), replace(study, inside=0), other, of, *rest)
    if nets:
        _say_how_long(tasks, journal, study, say)
    if not {task.trial.key for task in own} <= set(journal.done()):
        for name in EXPLAINED:  # what is still to be run may change them
            (out / name).unlink(missing_ok=True)
    records = run(tasks, journal, study.jobs, prepared.budget, prepared.free, extracted.failed, prepared.cluster)
    if study.inside and any(map(is_network, prepared.features)):
        _look_into_features(prepared, tasks, records, extracted, journal)
    _explain(prepared, own, records, manifest, out, say)
    finished = Run(manifest, folds, prepared.trials, records, prepared.weights, study.seed, prepared.metrics)
    comparisons = comparisons_table(finished)
    results = results_table(finished, comparisons)
    (out / "environment.json").write_text(json.dumps(environment(study, prepared.weights), indent=2) + "\n")
    _write_table(results, out / "results.csv")
    _write_table(comparisons, out / "comparisons.csv")
    _write_table(reliability_table(finished), out / "reliability.csv")
    runs = {prefix: _run_on(prefix, finished, other, prepared) for prefix, other in others.items()}
    trials = pd.concat([trials_table(finished), *map(trials_table, runs.values())], ignore_index=True)
    _write_table(trials, out / "trials.csv")
    if IMAGE in runs:
        _write_leak(finished, runs.pop(IMAGE), out)
    if study.learning_curve:
        curve = learning_table({100: finished} | {prefix_share(prefix): run for prefix, run in runs.items()})
        _write_table(curve, out / "learning_curve.csv")
    predictions_table(finished).to_parquet(out / "predictions.parquet", index=False)
    if nets:
        _write_table(curves_table(finished), out / "curves.csv")
    (out / "results.md").write_text(to_markdown(results, prepared.title), encoding="utf-8")
    say_missing(results, prepared.metrics, say)
    say(detectable_in_words(comparisons, manifest.keep(finished.ever_tested)))
    if study.save_models:
        save_models(prepared, extracted, say, include_weights=study.include_weights)
    return finished, results, aside


def _look_into_features(prepared, tasks, records, extracted, journal):
    from glomfeat.nets.looking import look_into_features

    seen = journal.inside()
    left = [task for task in tasks if task.inside and str(task.trial.arm) not in seen]
    views = {f.name: view_of(f, prepared.preprocess) for f in prepared.features if is_network(f)}
    pixels = {name: extracted.pixels[view.size, view.filter] for name, view in views.items()}
    for record in look_into_features(left, records, prepared.features, pixels, prepared.study.inside, prepared.free):
        journal.append(record)


def _explain(prepared, tasks, records, manifest, out, say):
    """Write what is near each error and what each group of columns is worth, unless it has been written since the last
    trial ended."""
    near, worth = (out / name for name in EXPLAINED)
    if prepared.features and not near.exists():
        with threadpool_limits(prepared.study.threads):
            _write_table(neighbours_table(tasks, records, manifest), near)
    if prepared.features and not worth.exists():
        study = prepared.study
        limits = study.jobs, prepared.budget, prepared.free
        table = importance_table(tasks, records, prepared.features, study.seed, *limits, say, prepared.cluster)
        _write_table(table, worth)


def _other_folds(prepared, folds, say):
    """The fold tables of what is run beside the study, by what stands before the names of their folds."""
    study, found = prepared.study, {}
    if study.leak_price:
        found[IMAGE] = make_image_folds(folds, study.seed)
    for share in SHARES if study.learning_curve else ():
        smaller = make_smaller_folds(folds, share, study.seed)
        if smaller is None:
            say(f"learning curve: {share:g}% of the training cases are too few for inner splits and are left out")
        else:
            found[cases_prefix(share)] = smaller
    return found


def _run_on(prefix, finished, folds, prepared):
    """The finished run's counterpart on other folds."""
    # cases keep their names: where images were dealt, what was trained did not know them, but cases are sampled still
    manifest = replace(finished.manifest, by_case=prefix != IMAGE)
    return replace(finished, manifest=manifest, folds=folds, trials=prepared.trials_on(prefix))


def _write_leak(run, leaking, out):
    """What folds of images gave, apart from the study's own tables."""
    _write_table(leak_price_table(run, leaking), out / "leak_price.csv")
    predictions_table(leaking).to_parquet(out / "leak_predictions.parquet", index=False)
    _write_folds(leaking.folds, leaking.manifest, out / "leak_folds.csv")


def _write_table(table, path):
    table.to_csv(path, index=False, float_format=FLOATS)


def _write_folds(folds, manifest, path):
    shown = folds["case"].map(pseudonyms(folds["case"]))
    folds.assign(pseudonym=shown, split=manifest.split).to_csv(path, index=False)


def _say_how_long(tasks, journal, study, say):
    """Say how long the networks that are not done will take."""
    done, left = journal.done(), {}
    for task in tasks:
        if task.net and task.trial.key not in done:
            left.setdefault(task.trial.arm.net, []).append(task)
    for name, waiting in left.items():
        fit, valid = waiting[0].inner[0]
        seconds = len(waiting) * net_seconds(name, waiting[0].net, len(fit), len(valid), study.threads)
        say(f"net:{name}: {len(waiting)} trials take about {seconds / 60:.1f} minutes, one after the other")
