"""Turn options into a study that is known to be possible: names resolved, data read, everything checked."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import joblib

from glomfeat.comparison.beside import prefixes_beside, refuse_leak_price
from glomfeat.comparison.budget import free_bytes
from glomfeat.comparison.cohorts import read_cohorts
from glomfeat.comparison.ensembles import arms_by_name, find_arm, resolve_ensembles
from glomfeat.comparison.folder import journal_of
from glomfeat.comparison.joined import Joining, find_joining, joined_arms, lines_on_joining
from glomfeat.comparison.named_features import make_features, with_offline_network
from glomfeat.comparison.no_effect import lines_on_no_effect, refuse_empty
from glomfeat.comparison.objects import EXAMPLES, coded
from glomfeat.comparison.options import DEFAULT_FEATURES
from glomfeat.comparison.own_table import with_own_table, without_own_features
from glomfeat.comparison.perturbed import check_perturb, lines_on_perturb
from glomfeat.comparison.recall import NOTHING, is_finished, note_networks, read_notes
from glomfeat.comparison.starts import (
    init_settings,
    lines_on_bundles,
    lines_on_recipe,
    refuse_cohorts,
    refuse_training,
    starts_of,
)
from glomfeat.comparison.ways import apart_from, find_ways, lines_on_sides, lines_on_ways, nets_in_ways, stain_identity
from glomfeat.core.arms import Arm, StudyError, plan_arms, plan_trials, tagged
from glomfeat.core.cache import Store, cache_folder, digest_of
from glomfeat.core.memory import budget_bytes, format_bytes, limits
from glomfeat.core.part_errors import PartError
from glomfeat.core.plugins import definition_of, is_own
from glomfeat.core.workers import alone
from glomfeat.data.cases import IMAGE_LEVEL
from glomfeat.data.given import torn_cases
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.labels.classes import order_classes, spelling
from glomfeat.data.manifest import check_split, read_manifest
from glomfeat.data.phantom import Phantom, built_in
from glomfeat.data.readers import read_readers
from glomfeat.data.subgroups import lines_on_subgroups
from glomfeat.features.make import check_feature
from glomfeat.features.seen import view_of
from glomfeat.features.telling import lines_on_tables
from glomfeat.metrics.user import find_metrics
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.nets import (
    applying,
    averaged,
    check_net,
    find_architecture,
    net_side,
    without_loading,
)
from glomfeat.models.reducers.fit import parse_reducer
from glomfeat.results.tables import taken_names


@dataclass(frozen=True)
class Prepared:
    """A study whose options have been checked against the data, with nothing computed yet.

    Attributes
    ----------
    study : Study
        With everything filled in that was left open.
    manifest : Manifest
    features : list
        As `glomfeat.features.make.make_feature` returns them.
    preprocess : Preprocess
        For networks that are trained, and for features that have no way of reading images of their own.
    store : Store
    trials : list of Trial
        On folds by case.
    budget : int
        Bytes.
    nets : dict of str to str
        The networks, by name, and what each starts from.
    metrics : dict of str to callable
        The user's own, by the name of their column.
    noted : dict
        Notes on pretrained networks, as `glomfeat.comparison.recall.note_networks` returns them.
    cluster : glomfeat.core.cluster.calls.Cluster or None
        Where the study runs, if not on this machine; see `glomfeat.comparison.on_cluster.opened`.
    cohorts : tuple of glomfeat.comparison.cohorts.Other
        Images of other places that are scored at the end.
    reference : str or None
        Full name of the arm that every other one is compared with.
    readers : tuple of glomfeat.data.readers.Reader
        How people called the images.
    ways : list of glomfeat.comparison.ways.Way
        The ways in which images are read.
    called : dict of str to str
        The user's name for each feature, by its full name; without random twins.
    read_by_nets : dict of str to Preprocess
        How each network reads images, apart from its side.
    joining : glomfeat.comparison.joined.Joining
        Columns of the user's table that are joined to features.
    as_given : Study or None
        As the user gave it, with nothing filled in.
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
    noted: dict = field(default_factory=dict)
    cluster: object = None
    cohorts: tuple = ()
    reference: str | None = None
    readers: tuple = ()
    ways: list = field(default_factory=list)
    called: dict = field(default_factory=dict)
    read_by_nets: dict = field(default_factory=dict)
    joining: Joining = field(default_factory=Joining)
    as_given: object = None

    @property
    def identity(self):
        """What makes two runs the same study."""
        nets = [f"{name}: {start}" for name, start in self.nets.items()]
        found = self.study.identity(self.manifest, [feature.name for feature in self.features], nets)
        classes = self.manifest.classes
        named = classes != order_classes(classes, None, [])  # the usual positive class may be named or not
        found |= {"positive": classes[-1] if named else None}
        found |= {"reads": self.reads} if self.reads else {}
        found |= stain_identity(self.ways)
        gaps = any(feature.imputes for feature in self.features)
        found |= {"missing": self.study.missing} if gaps else {}
        if "given" in self.manifest.table:
            found |= {"given": digest_of(self.manifest.table["given"].astype(str).tolist())}
        if columns := self.joining.columns:
            found |= {"with": list(columns.names), "values of columns": columns.digest[:16]}
        ensembles = [str(arm) for arm in self.arms if arm.members]
        return found | ({"ensembles": ensembles} if ensembles else {})

    @property
    def reads(self):
        """Side and filter of the images for features and networks that read them in their own way, by name."""
        own = {f.name: view_of(f, self.preprocess) for f in self.features if f.reads}
        own |= apart_from({f"net:{name}": self.view_of_net(name) for name in self.nets}, self.ways)
        return {name: [view.size, view.filter] for name, view in own.items()}

    @property
    def standardise(self):
        """Whether the columns of a feature are scaled to variance 1 before they are reduced, by its name."""
        return self.joining.extended({feature.name: feature.standardise for feature in self.features}, False)

    @property
    def arms(self):
        """All arms, each once, in the order of the plan."""
        return list(dict.fromkeys(trial.arm for trial in self.trials))

    @cached_property
    def beside(self):
        """Prefixes of the names of further folds on which the same trials run."""
        return prefixes_beside(self.study, self.manifest)

    @property
    def all_trials(self):
        """All trials, on the study's own folds and on further ones."""
        return self.trials + [trial for prefix in self.beside for trial in self.trials_on(prefix)]

    def trials_on(self, prefix):
        """The study's trials on the folds whose names have this prefix."""
        return [replace(trial, fold=f"{prefix}{trial.fold}") for trial in self.trials]

    @property
    def free(self):
        """Bytes of the budget that the plan may use."""
        # the budget of a cluster's worker is its own, and it holds no tables of all images
        return free_bytes(self.budget, bool(self.weights), 0 if self.cluster else len(self.manifest))

    @property
    def weights(self):
        """Where weights come from, by the name of the feature or the arm of the network."""
        of_features = {feature.name: feature.weights for feature in self.features if feature.weights}
        return of_features | {str(Arm(net=name)): start for name, start in self.nets.items()}

    def view_of_net(self, name):
        """How a network reads images."""
        return replace(self.read_by_nets.get(name, self.preprocess), size=self.net_settings(name)["side"])

    @property
    def views_of_nets(self):
        """The ways in which networks read images."""
        return [self.view_of_net(name) for name in self.nets]

    def net_settings(self, name):
        """The settings with which a network is made."""
        study, network = self.study, Arm(net=name).network
        view = self.read_by_nets.get(name, self.preprocess)
        view = replace(view, size=net_side(network)) if find_architecture(network) else view
        settings = {"side": view.size, "weights": study.weights, "device": study.device, "preset": study.preset}
        settings |= applying(network, study.recipe()) | ({"tune": study.tuned} if study.tuned else {})
        return settings | (init_settings(study.init, network, view, self.manifest.classes) if study.init else {})

    @property
    def title(self):
        """A line that says what was compared, on which data, and how they were split."""
        study, manifest = self.study, self.manifest
        times = f" x {study.repeats} repeats" if study.repeats > 1 else ""
        return f"{manifest.said[0]}; {study.split.title}{times}, {manifest.split}"


def prepare(study, say, manifest=None, journal=None, begun=None):
    """Read the data set, resolve every name, and check everything that can be checked before work begins.

    Parameters
    ----------
    study : Study
    say : callable
        Called with each line that the user should read.
    manifest : Manifest, optional
        Replaces reading ``study.data``, which then only says where the images are.
    journal : Journal, optional
        Of the study's folder, for callers that compute nothing if the study in it is finished. Its pretrained networks
        are then known from its notes, and cannot compute anything. In all other cases they are made.
    begun : dict of str to Start, optional
        From `glomfeat.comparison.starts.noted_starts`, for callers that train no network: no bundle is looked for.

    Returns
    -------
    Prepared

    Raises
    ------
    ManifestError, PluginError, FeatureError, WeightsError, StudyError, ValueError
        The message says what to do.
    """
    study.check()
    as_given = study
    budget, cache = budget_bytes(study.memory), cache_folder(study.cache)
    if study.memory and study.backend == "local" and budget > (most := min(limits().values())):
        has = f"more than the {format_bytes(most)} of this machine, container or job"
        say(f"warning: --memory {study.memory} is {has}: a run that uses this much may be killed")
    study = replace(study, weights=study.weights or ("imagenet" if study.data else "auto"))
    if study.tta > 1:  # from here on their names say it
        study = replace(study, nets=tuple(map(averaged, study.nets)), tta=1)
        study.check()
    if begun:
        study = replace(study, init=None)
    if study.init:  # workers may run in another folder
        study = replace(study, init=str(Path(study.init).expanduser().absolute()))
    notes = read_notes(study, journal)
    study, metrics = _with_parts_found(study, notes, say)
    manifest = _manifest_of(study, cache, manifest)
    study = with_own_table(replace(study, folds=study.split.count_folds(manifest)), manifest)
    manifest = without_own_features(manifest, study.features)
    for line in manifest.lines:
        say(line)
    refuse_leak_price(study, manifest)
    study = replace(study, ordinal=_ordered(study.ordinal, manifest.classes))
    check_perturb(study, manifest)
    rest = Store(str(cache)), budget, metrics
    if notes.rows:
        lines = []
        prepared = _resolved(study, as_given, manifest, rest, lines.append, notes)
        if is_finished(prepared, journal):
            for line in lines:
                say(line)
            return replace(prepared, noted=journal.about()["networks"])
    there = journal or journal_of(study)
    if there.header() is None:  # before weights are looked for
        refuse_empty(as_given)
        refuse_training(study)
    prepared = _resolved(with_offline_network(study, say), as_given, manifest, rest, say, begun=begun)
    if study.nets and not is_finished(prepared, there):
        refuse_training(study)
    return prepared


def _manifest_of(study, cache, manifest):
    """The images of a study, read unless they are given, and checked to allow the split that it asks for."""
    data = study.data
    if data is None and manifest is None:
        data = built_in(cache, study.jobs, Phantom(sites=study.sites))
    elif study.sites > 1:
        raise StudyError(f"--sites is {study.sites}: only the built-in phantom has made-up sites; leave it out")
    if manifest is None:
        how = study.groups, study.split, study.show_names, study.layout, study.asked, study.subgroups
        manifest = read_manifest(data, study.labels, study.positive, *how, joined=study.with_)
    else:
        check_split(manifest, study.split, study.show_names)
    return _marked(manifest, study.split.column) if study.allow_split_cases else manifest


def _ordered(asked, classes):
    """The classes in the order that was asked for, as DATA spells them; an error unless it holds each of them once."""
    ours = {spelling(name): name for name in classes}
    found = tuple(ours.get(spelling(name), "") for name in asked)
    if asked and (sorted(found) != sorted(classes) or len(classes) < 3):
        remedy = "name each of them once, the lowest first" if len(classes) > 2 else "two have no order; leave it out"
        raise StudyError(f"--ordinal is {' '.join(asked)}: the classes are {', '.join(classes)}: {remedy}")
    return found


def _marked(manifest, column):
    """The manifest with a line on cases that a given split has on several sides, marked if there are any."""
    torn, of = torn_cases(manifest.table, column), f"parts of column {column!r}"
    if not torn:
        said = f"no case is in several {of}: --allow-split-cases changes nothing"
    else:
        said = f"{len(torn)} of {manifest.table['case'].nunique()} cases are in several {of}: {IMAGE_LEVEL}"
    return replace(manifest, torn=bool(torn), said=(*manifest.said, said))


def _with_parts_found(study, notes, say):
    """The study with digests of the user's own code and defaults for this machine, and its metrics."""
    for name in study.heads:
        try:
            definition_of(name)  # in this process, where the message is best if it cannot be found
            alone(make_head, name, 0, seconds=study.timeout) if is_own(name) else make_head(name, 0)
        except PartError as error:
            say(f"{error}; its arms will fail")
    for name in study.reducers:
        parse_reducer(name)
    for name in study.features if study.features != DEFAULT_FEATURES and not notes.rows else ():
        check_feature(name)
    for name in study.nets:
        if notes.net(name, study.weights) is None:
            check_net(name)
    metrics = find_metrics(study.metrics, taken_names())
    kinds = {kind: tuple(coded(kind, one) for one in getattr(study, kind)) for kind in EXAMPLES}
    jobs = study.jobs or max(1, joblib.cpu_count(only_physical_cores=False) // study.threads)
    return replace(study, **kinds, threshold=coded("threshold", study.threshold), jobs=jobs), metrics


def _resolved(study, as_given, manifest, rest, say, notes=NOTHING, begun=None):
    """A study whose data have been read, with its features and networks; says what they are."""
    ways = find_ways(study, say)
    features, asked, called = make_features(study, ways, manifest, say, notes)
    names, (begun, starts) = [feature.name for feature in features], starts_of(study, ways, manifest, notes, begun)
    nets = nets_in_ways(study.nets, ways, {name: start.reads for name, start in begun.items() if start})
    readers, on_readers = (), []
    if study.readers is not None:
        readers, on_readers = read_readers(study.readers, manifest.table["name"], manifest.classes)
    joining = find_joining(study, manifest, features, called)
    arms = plan_arms(names, study.reducers, study.heads)
    arms += joined_arms(joining, study.reducers, study.heads) + [Arm(net=net) for net in nets]
    given = {name: tagged(text, Arm(feature=name).way if len(ways) > 1 else "") for name, text in called.items()}
    given |= {name: joining.named(name, called) for name in joining.bases}
    arms += resolve_ensembles(study.ensembles, arms, given)
    asked_reference = study.reference
    if asked_reference is not None:
        asked_reference = str(find_arm(asked_reference, arms_by_name(arms, given), "--reference"))
    store, budget, metrics = rest
    prepared = Prepared(
        study,
        manifest,
        features,
        ways[0].preprocess,
        store,
        plan_trials(arms, study.split.tested, study.repeats),
        budget,
        {name: begun[name].said if begun[name] else without_loading(Arm(net=name).network) for name in nets},
        metrics,
        cohorts=read_cohorts(study, manifest, features, joining, say),
        reference=asked_reference,
        readers=readers,
        ways=ways,
        called=called,
        read_by_nets=nets,
        joining=joining,
        as_given=as_given,
    )
    refuse_cohorts(prepared)
    on_data = [
        *lines_on_joining(joining, manifest, study),
        *on_readers,
        *lines_on_subgroups(manifest.table, study.subgroups, features, study.show_names),
        *lines_on_tables(features, manifest, study.show_names),
    ]
    said = [
        *on_data,
        *lines_on_ways(study, ways),
        *lines_on_perturb(prepared),
        *lines_on_sides(prepared.read_by_nets, ways),
        *lines_on_recipe(study),
        *lines_on_bundles(prepared),
        *lines_on_no_effect(prepared, as_given),
        *(f"{name}: weights {weights}" for name, weights in prepared.weights.items()),
    ]
    for line in said:
        say(line)
    for feature in features:
        if note := feature.note((feature.view or prepared.preprocess).size):
            say(f"{feature.name}: {note}")
    prepared = replace(prepared, manifest=manifest.warned(on_data))
    return prepared if notes.rows else replace(prepared, noted=note_networks(prepared, asked, starts))
