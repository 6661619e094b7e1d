"""Makes features from their names, in every way in which a study reads images."""

from dataclasses import replace

from glomfeat.comparison.options import DEFAULT_FEATURES
from glomfeat.comparison.recall import asked_of
from glomfeat.comparison.ways import with_ways
from glomfeat.core.arms import StudyError
from glomfeat.core.part_errors import PartError
from glomfeat.core.plugins import is_own
from glomfeat.features.extract import refuse_blind
from glomfeat.features.make import FeatureError, make_feature
from glomfeat.features.seen import plain
from glomfeat.features.shipped import OFFLINE, SHIPPED, serves_offline
from glomfeat.features.users import Broken


def make_features(study, ways, manifest, say, notes):
    """The features of a study in every way of reading images, with random twins if they are asked for.

    Parameters
    ----------
    study : Study
    ways : list of glomfeat.comparison.ways.Way
    manifest : Manifest
    say : callable
        Called with a line of text.
    notes : glomfeat.comparison.recall.Notes

    Returns
    -------
    features : list
        As `glomfeat.features.make.make_feature` returns them.
    asked : dict of str to dict
        What decided each feature, by its name and the side of images, as `glomfeat.comparison.recall.asked_of` returns
        it.
    called : dict of str to str
        The user's name for each feature, by its full name; without random twins.

    Raises
    ------
    StudyError
        Two features have the same name.
    FeatureError
        A feature or a network does not suit the data.
    """
    asked, said = {}, []

    def say_once(line):
        if line not in said:
            said.append(line)
            say(line)

    def make(name, weights, side):
        of = None if is_own(name) else asked_of(study, name, weights, side)
        given = study.layer, study.device, study.precision, study.asked, manifest.table["name"], side
        try:
            made = notes.feature(of) or make_feature(name, weights, *given)
            made = made.having(compiled=True) if study.compile and made.is_deep else made
        except PartError as error:
            say_once(f"{error}; its arms will fail")
            return Broken(str(name), str(error))
        if of:
            asked.setdefault(made.name, {}).setdefault(side, of)
        return made

    each = []
    for way in ways:
        of_way = [make(name, study.weights, way.size) for name in study.features]
        each.append(of_way + (_random_twins(study, of_way, way.size, make, say_once) if study.random_twin else []))
    features = with_ways(each, ways)
    of = {one.name: text for row in each for one, text in zip(row, study.features, strict=False)}
    called = {one.name: of[plain(one).name] for one in features if plain(one).name in of}
    names = [feature.name for feature in features]
    if len(set(names)) < len(names):
        raise StudyError(f"two features have one name: {', '.join(names)}; rename one")
    if manifest.source and study.nets:
        why = f"{study.data} is a feature table without images"
        if type(study).nets:
            raise FeatureError(f"{why}, and this study trains networks: name images, or use studies.compare")
        raise FeatureError(f"{', '.join(study.nets)}: {why}; leave out --nets")
    refuse_blind(manifest, features, study.data)
    if manifest.source and (len(ways) > 1 or ways[0].preprocess.stain):
        several = [name for name, _ in ways[0].named] or ["stain"]
        raise FeatureError(f"--{' --'.join(several)}: {study.data} is a feature table without images; leave it out")
    return features, asked, called


def with_offline_network(study, say):
    """The study with a network whose weights are installed, if it names none and ResNet-18's cannot be downloaded."""
    if study.features != DEFAULT_FEATURES or study.weights != "auto" or not serves_offline():
        return study
    from glomfeat.features.deep.weights import find_weights

    handcrafted, network = DEFAULT_FEATURES
    if find_weights(network, "auto").name == "imagenet":
        return study
    say(
        f"{network}: its ImageNet weights are not here and cannot be downloaded; {OFFLINE} takes its place, with the "
        f"weights from {SHIPPED[OFFLINE].package.replace('_', '-')}"
    )
    return replace(study, features=(handcrafted, f"timm:{OFFLINE}"))


def _random_twins(study, features, side, make, say):
    """A random-weights twin of each pretrained feature, reading the same pixels; says which features have none."""
    pretrained = [(name, feature) for name, feature in zip(study.features, features, strict=True) if feature.weights]
    if not pretrained:
        say("random twins: no feature has weights")
    twins = []
    for name, feature in pretrained:
        if feature.weights.startswith("random"):
            say(f"{feature.name}: no random twin, because its own weights are random")
            continue
        own = feature.reads
        twin = make(name, "none", own[0] if own else side)
        if twin.name == feature.name:
            say(f"{feature.name}: no random twin, because it brings its own weights")
        elif own:
            twins.append(twin.having(reads=own))
        else:
            twins.append(twin)
    return twins
