"""What describes the images of a study, computed as its options say."""

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
        Of the pixels that networks are trained on.

    Returns
    -------
    Extracted

    Raises
    ------
    BudgetError, ImageError, OSError
        As `glomfeat.features.extract.extract`.
    """
    study = prepared.study
    where = prepared.store, study.jobs, study.on_error, also, prepared.free, prepared.cluster
    found = extract(manifest, features, prepared.preprocess, *where, apart=True, seconds=study.timeout)
    return prepared.joining.extracted(found)


def as_extracted(feature, extracted):
    """A feature with the batch in which its rows were computed, on which last bits may depend.

    Parameters
    ----------
    feature : Feature
    extracted : Extracted
    """
    batch = extracted.keys.get(feature.name, {}).get("batch")
    return feature.having(batch=batch) if batch else feature
