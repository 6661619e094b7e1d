"""Checks for values of options that no study can have."""

import math

from glomfeat.core.arms import StudyError
from glomfeat.data.schemes import Given

# options that take several values; images are then read in every combination
READING = ("size", "padding", "stain")
PERTURBED = ("stain", "blur", "jpeg", "noise", "brightness", "scale")

_OF_NAMES = (
    *("features", "reducers", "heads", "with_", "nets", "metrics", "perturb"),
    *("subgroups", "prevalence", "test", "map"),
)


def plainly(name):
    """The name of an option; a field whose name would be a Python keyword ends in an underscore."""
    return name.rstrip("_")


def name_tables(features):
    """Whether any of some features is read from a table or another file of numbers.

    Examples
    --------
    >>> name_tables(["classical", "file:t.csv"]), name_tables(["classical"])
    (True, False)
    """
    from glomfeat.data.locate import is_forced

    return any(map(is_forced, features))


def check_options(study):
    """Refuse values that no study can have.

    Parameters
    ----------
    study : glomfeat.comparison.options.Study

    Raises
    ------
    StudyError
        Names the option, and what is allowed.
    """
    from glomfeat.data.folders.layout import parse_layout
    from glomfeat.metrics.thresholds import parse_threshold

    for name in ("folds", "repeats", "jobs", "threads", "epochs", "batch", "sites"):
        least = study.split.least_folds if name == "folds" else 1
        value = getattr(study, name)
        if value is not None and value < least:
            raise StudyError(f"--{name} is {value}: at least {least}")
    _check_splits(study)
    _check_reading(study)
    _check_shown(study)
    _check_training(study)
    if not study.features and not study.nets:
        raise StudyError("there is nothing to compare: name some --features or --nets")
    for name in _OF_NAMES:
        values = getattr(study, name)
        if any(not str(value).strip() for value in values):
            raise StudyError(f"--{plainly(name)} holds an empty name: write a name there, or leave the option out")
        if (not values and name in ("reducers", "heads")) or len(set(values)) < len(values):
            raise StudyError(f"--{plainly(name)} is {' '.join(map(str, values)) or 'empty'}: give each name once")
    if unknown := [name for name in study.perturb if name not in PERTURBED]:
        raise StudyError(f"--perturb is {' '.join(unknown)}: allowed are {', '.join(PERTURBED)}")
    if outside := [share for share in study.prevalence if not 0 < share < 1]:
        raise StudyError(f"--prevalence is {' '.join(map(str, outside))}: give shares above 0 and below 1, such as 0.2")
    if study.scheduler and study.backend == "local":
        raise StudyError(f"--scheduler is {study.scheduler}: say with --backend whether dask or ray runs there")
    if study.timeout is not None and not 0 < study.timeout < math.inf:
        raise StudyError(f"--timeout is {study.timeout:g}: give seconds, more than 0")
    if study.timeout is not None and study.backend != "local":
        raise StudyError(f"--timeout works only on this machine, but --backend is {study.backend}: leave one out")
    if study.margin is not None and study.reference is None:
        raise StudyError(
            f"--margin is {study.margin:g}, but no arm is named: say with --reference which arm it is about"
        )
    if study.margin is not None and not 0 < study.margin < 0.5:
        raise StudyError(f"--margin is {study.margin:g}: give a difference in AUROC, more than 0 and less than 0.5")
    if study.layout:
        parse_layout(study.layout)
    try:
        parse_threshold(study.threshold)
    except ValueError as error:
        raise StudyError(f"--{error}") from None


def _check_splits(study):
    if study.repeats > 1 and not study.split.dealt_anew:
        why = f"--scheme {study.scheme} says what is tested together, so cases cannot be split anew"
        raise StudyError(f"--repeats is {study.repeats}: {why}; leave it out")
    if study.allow_split_cases and not isinstance(study.split, Given):
        raise StudyError(f"--allow-split-cases belongs to --scheme {Given.written}: {study.scheme} splits no case")
    if study.leak_price and study.split.elsewhere:
        raise StudyError(
            f"--leak-price: with --scheme {study.scheme} it would measure the step to another place and not a leak; "
            "leave it out, or ask for it with --scheme cv"
        )


def _check_reading(study):
    for name, values in zip(READING, (study.sizes, study.paddings, study.stains), strict=True):
        if not values or len(set(values)) < len(values):
            raise StudyError(f"--{name} is {' '.join(map(str, values)) or 'empty'}: give each value once")
    if wrong := [size for size in study.sizes if size is not None and size < 1]:
        raise StudyError(f"--size is {wrong[0]}: at least 1")
    if study.stain_reference != type(study).stain_reference and study.stains == ("none",):
        raise StudyError(f"--stain-reference is {study.stain_reference}: say with --stain how to normalise images")
    if study.stain_reference == "fold" and study.perturb:
        raise StudyError(
            f"--perturb {' '.join(study.perturb)} with --stain-reference fold: changed images would be described "
            "once more for each fold; leave out --perturb, or give pas, he or an image file as the reference"
        )


def _check_training(study):
    from glomfeat.core.errors import InputError
    from glomfeat.models.nets import Recipe, applying, converges

    asked = study.recipe()
    try:
        Recipe(**{"augment": False} | asked)
        tuned = study.tuned
    except InputError as error:
        option, _, rest = str(error).partition(" ")
        raise StudyError(f"--{option.replace('_', '-')} {rest}") from None
    followed = {field for name in study.nets for field in applying(name, asked)}
    of_all = "class_weight", "epochs", "batch", "lr", "precision", "compile"
    left = [field for field in asked if field not in (*followed, *of_all)]
    for name in tuned if isinstance(tuned, dict) else ():
        if name in asked:
            raise StudyError(f"--{name} is {asked[name]}, and --tune chooses {name}: leave one of them out")
    preset = {"preset": study.preset}
    if tuned and all(converges(name, applying(name, asked) | preset) for name in study.nets):
        left.append("tune")
    if left and study.nets:  # without networks, a line says so
        wanted = "one with :lora" if left[0].startswith("lora") else "one that learns from images"
        if left[0] == "drop_path":
            wanted = "one with residual branches, such as convnext_tiny:finetune or timm:vit_small_patch16_224:lora"
        raise StudyError(
            f"--{left[0].replace('_', '-')}: no network of --nets {' '.join(study.nets)} can use it; "
            f"name {wanted}, or leave it out"
        )


def _check_shown(study):
    if not study.figures or len(set(study.figures)) < len(study.figures):
        raise StudyError(f"--figures is {' '.join(study.figures) or 'empty'}: give each kind once")
    if study.style is not None:
        from glomfeat.report.styles import check_style

        check_style(study.style)
    if study.track is not None:
        from glomfeat.comparison.track import check_track

        check_track(study.track)
