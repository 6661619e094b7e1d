"""Extraction of features with the options of a study."""

from glomfeat.features.extract import extract


def extract_for(prepared, manifest, features, also=()):
    """Describe images with the budget, the processes and the workers of a study.

    Parameters
    ----------
    prepared : Prepared
    manifest : Manifest
        Of the study, or of a cohort.
    features : list of Feature
    also : sequence of Preprocess
        How pixels are read that networks are trained on.

    Returns
    -------
    Extracted

    Raises
    ------
    BudgetError, ImageError, OSError
        As in `glomfeat.features.extract.extract`.
    """
    study = prepared.study
    where = prepared.store, study.jobs, study.on_error, also, prepared.free, prepared.cluster
    found = extract(manifest, features, prepared.preprocess, *where, apart=True, seconds=study.timeout)
    return prepared.joining.extracted(found)


def as_extracted(feature, extracted):
    """The feature with the batch size in which its rows were computed, because last bits may depend on it.

    Parameters
    ----------
    feature : Feature
    extracted : Extracted
    """
    batch = extracted.keys.get(feature.name, {}).get("batch")
    return feature.having(batch=batch) if batch else feature
