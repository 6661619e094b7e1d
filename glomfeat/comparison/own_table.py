"""A feature table as DATA: it is its own feature, unless the user names other tables."""

from dataclasses import replace
from pathlib import Path

from glomfeat.comparison.no_effect import no_pretrained
from glomfeat.comparison.options import DEFAULT_FEATURES
from glomfeat.data.locate import is_forced, path_of
from glomfeat.data.table_rows import OfColumns
from glomfeat.data.tables.read import listed


def with_own_table(study, manifest):
    """The study with the table that it is about as its feature, if no feature is named.

    Parameters
    ----------
    study : Study
    manifest : Manifest

    Returns
    -------
    Study
    """
    if manifest.source and study.features == DEFAULT_FEATURES:
        return replace(study, features=(f"file:{manifest.source}",))
    return study


def without_own_features(manifest, features):
    """The manifest of a table that gives no features, because others are named; a line says so.

    Parameters
    ----------
    manifest : Manifest
    features : sequence of str

    Returns
    -------
    Manifest
        Unchanged if the table is among the features, if there are none, or if it is no table.
    """
    tables = features and all(map(is_forced, features))
    if not manifest.source or not tables or any(is_source(name, manifest) for name in features):
        return manifest
    name = Path(manifest.source).name
    rest = [line for line in manifest.said if not isinstance(line, OfColumns)]
    line = (
        f"{name}: none of its columns is a feature; features are read from {listed(map(str, map(path_of, features)))}"
    )
    return replace(manifest, said=(*rest, line))


def written(prepared):
    """The options of a study for ``study.yaml``, by which other DATA can be compared in the same way.

    Parameters
    ----------
    prepared : glomfeat.comparison.prepare.Prepared

    Returns
    -------
    dict of str to object
        As `Study.plain` returns them. What other DATA would have of their own is left open: features if the only one is
        the table that the study is about, folds that a column gives, and weights that nothing reads. Jobs, networks and
        ``--tta`` are as the user gave them, so that another machine, or another ``--tta``, is not bound by this one.
    """
    study, manifest = prepared.study, prepared.manifest
    given = prepared.as_given or study
    own = manifest.source and len(study.features) == 1 and is_source(study.features[0], manifest)
    left_open = {
        "features": own and type(study).features == DEFAULT_FEATURES,
        "folds": study.split.column,
        "weights": no_pretrained(prepared, study),
    }
    study = replace(study, jobs=given.jobs, nets=given.nets, tta=given.tta)
    return study.plain() | {name: None for name, left in left_open.items() if left}


def is_source(name, manifest):
    """Whether the name of a feature, ``file:PATH``, names the table that a study is about."""
    return is_forced(name) and path_of(name).resolve() == Path(manifest.source).resolve()
