"""One arm of a study, fitted on all of its images, with everything chosen as in the study: on inner splits by case."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from glomfeat.bundle.codecs import to_json
from glomfeat.bundle.ensemble import Ensemble, share_features
from glomfeat.bundle.format import FORMAT, VERSION, BundleError, versions
from glomfeat.bundle.model import Bundle, FeatureModel, NetModel
from glomfeat.bundle.reference import make_reference
from glomfeat.bundle.save import folder_of, save_bundle
from glomfeat.bundle.selftest import make_checks
from glomfeat.comparison.budget import plan_arm
from glomfeat.comparison.tasks import Splits, inner_models, reduction_of
from glomfeat.core.arms import FLOOR, Arm
from glomfeat.core.memory import format_bytes
from glomfeat.core.part_errors import in_words
from glomfeat.core.plugins import Own, did_you_mean, is_own, name_of
from glomfeat.core.seeds import seed_for
from glomfeat.data.cases import pseudonyms
from glomfeat.data.images.decode import LANCZOS
from glomfeat.data.splits import inner_valid_split, make_folds
from glomfeat.features.base import view_of
from glomfeat.features.extract import extract
from glomfeat.features.make import make_feature
from glomfeat.features.table import Table
from glomfeat.models.ensemble import calibration_for, choose_mean
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.inner import score_inner
from glomfeat.models.nets import is_own_net
from glomfeat.models.reducers.kept import fit_reducer, transform_all
from glomfeat.models.selection import COMPONENTS, NO_ROWS, fit_chosen, fit_setting, mean_by_row, without_components

REFIT = "refit"


def calls_own(arm):
    """Whether an arm, or a member of one, has a part of the user's own.

    Examples
    --------
    >>> calls_own("a.v1/none/mylab:lda"), calls_own("mean:a.v1/none/svm,net:compact")
    (True, False)
    """
    arm = Arm.parse(arm)
    return any(is_own(one.reducer) or is_own(one.head) or is_own_net(one.net) for one in [arm, *arm.members])


def read_outcome(out, arm):
    """What the study found of an arm.

    Parameters
    ----------
    out : path-like
        The study's output folder, finished.
    arm : str

    Returns
    -------
    expected : dict
        The arm's row of results.csv, its ``rank``, and ``of`` how many arms.
    out_of_fold : pandas.DataFrame
        Its rows of predictions.parquet.

    Raises
    ------
    BundleError
        The study is not finished, or has no such arm.
    """
    out = Path(out).expanduser()
    files = out / "results.csv", out / "predictions.parquet"
    if not all(file.is_file() for file in files):
        raise BundleError(f"{out} holds no finished study: run python -m studies.compare with --out {out} first")
    results = pd.read_csv(files[0], keep_default_na=True)
    names = results["arm"].tolist()
    if arm not in names:
        raise BundleError(f"{out} has no arm {arm!r}: {did_you_mean(arm, names)}")
    if arm == FLOOR:
        raise BundleError(f"{arm} is the floor and looks at no image: choose another arm")
    row = results[results["arm"] == arm].iloc[0].to_dict()
    if row["status"] != "done":
        raise BundleError(f"{arm} is {row['status']} in {out}: finish the study, its figures would go with the model")
    ranked = [name for name, status in zip(names, results["status"], strict=True) if status == "done"]
    predictions = pd.read_parquet(files[1], filters=[("arm", "==", arm)])
    return {**row, "rank": ranked.index(arm) + 1, "of": len(ranked)}, predictions


def refit_arm(prepared, extracted, arm, say=lambda line: None):
    """Fit an arm on all images of a study.

    The reducer is fitted on all rows; setting, calibration and threshold of a head are chosen on inner splits of all
    cases, and the head is then fitted on all rows. A network is trained as in each of the study's trials, see
    `glomfeat.models.nets.run.fit_net`. The members of an ensemble are fitted so and calibrated, and its threshold is
    chosen on the mean of their scores of inner-valid rows.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
        With the arm's feature or pixels, or those of its members.
    arm : str
    say : callable
        Called with each line that the user should read.

    Returns
    -------
    Bundle
        In memory, ready to predict.

    Raises
    ------
    BundleError
        The study is not finished, or no bundle can hold the arm.
    """
    arm = next((trial.arm for trial in prepared.trials if str(trial.arm) == str(arm)), None) or Arm.parse(str(arm))
    given = prepared, extracted, arm, _chosen_by(extracted.manifest, prepared.study), say
    return _checked(_refit_ensemble(*given) if arm.members else _refit(*given)[0])


def _checked(made):
    """A bundle with the scores by which an installation is tested."""
    return replace(made, about=made.about | {"checks": to_json(make_checks(made))})


def _refit_ensemble(prepared, extracted, arm, chosen_by, say):
    study, labels = prepared.study, extracted.manifest.labels
    kind = calibration_for(study.calibration)
    about, *kept = _common(prepared, extracted, arm)
    calibrated = replace(prepared, study=replace(study, calibration=kind))
    members, inner = [], []
    for member in arm.members:
        made, scored = _refit(calibrated, extracted, member, chosen_by, say)
        of = {"member_of": str(arm), "calibration": made.about["calibration"] | {"asked": study.calibration}}
        members.append(_checked(replace(made, about=made.about | of)))
        inner.append(scored)
    threshold, inner_auroc = choose_mean(labels, inner, study.threshold, [held for _, held in chosen_by])
    about |= {
        "kind": "ensemble",
        "threshold": {"value": threshold, "rule": name_of(study.threshold)},
        "calibration": {"kind": "none", "maps": [], "asked": study.calibration, "of_members": kind},
        "chosen": {"inner_auroc": inner_auroc},
    }
    return Ensemble(to_json(about), members[0].preprocess, None, None, *kept, members=share_features(members))


def _refit(prepared, extracted, arm, chosen_by, say):
    """A bundle without its checks, and what `glomfeat.models.ensemble.choose_mean` needs of it."""
    study, manifest = prepared.study, extracted.manifest
    common, *kept = _common(prepared, extracted, arm)
    reason = extracted.failed.get(arm.feature)
    if reason:
        raise BundleError(f"{arm.feature} cannot be computed: {reason}")
    seed = seed_for(study.seed, str(arm), REFIT)
    say(f"{arm}: fitted on all {len(manifest)} images")
    fit = _fit_net if arm.net else _fit_features
    preprocess, model, reduced, about, chosen = fit(prepared, extracted, arm, seed, chosen_by)
    splits = [(one.fit.rows, held) for one, held in chosen_by]
    plain = _shortcut_rows(prepared, manifest, preprocess)
    reference = make_reference(plain, reduced, splits)
    calibration, (rows, scores) = chosen.pop("calibration"), chosen.pop("inner")
    about = common | {
        "preprocess": asdict(preprocess),
        **about,
        "threshold": {"value": chosen.pop("threshold"), "rule": name_of(study.threshold)},
        "calibration": {"kind": calibration.kind, "maps": calibration.maps, "asked": study.calibration},
        "chosen": {**chosen, "seed": seed},
    }
    made = Bundle(to_json(about), preprocess, model, reference, *kept, calibration)
    return made, (rows, calibration.apply(scores))


def _common(prepared, extracted, arm):
    """What a bundle says of every arm, the arm's scores in the study, and the digests of the training images."""
    study, manifest = prepared.study, extracted.manifest
    expected, predictions = read_outcome(study.out, str(arm))
    names = pseudonyms(manifest.table["case"])
    cases = sorted(set(names.values()))
    of_case = {case: cases.index(name) for case, name in names.items()}
    seen = np.array([int(digest[:16], 16) for digest in manifest.table["digest"]], np.uint64)
    about = {
        "format": FORMAT,
        "version": VERSION,
        "arm": str(arm),
        "classes": list(manifest.classes),
        "trained_on": {
            "images": len(manifest),
            "cases": cases,
            "by_class": np.bincount(manifest.labels, minlength=len(manifest.classes)),
            "split": manifest.split,
            "digest": manifest.digest,
            "groups": study.groups,
        },
        "study": {"scheme": study.scheme, "folds": study.folds, "repeats": study.repeats, "seed": study.seed},
        "expected": expected,
        "threads": study.threads,
        "versions": versions(),
    }
    return about, _out_of_fold(predictions, of_case), seen


def _chosen_by(manifest, study):
    """What all choices are made by: the folds of the study, or inner splits of all cases; see `Splits.of_all`."""
    folds = make_folds(manifest, study.scheme, study.folds, study.repeats, study.seed)
    found = Splits(manifest, folds, study.seed).of_all(REFIT)
    if not found:
        raise BundleError("inner folds of all cases cannot hold both classes, so nothing can be chosen by them")
    return found


def _fit_features(prepared, extracted, arm, seed, chosen_by):
    study, manifest = prepared.study, extracted.manifest
    feature = _as_extracted(prepared, extracted, arm.feature)
    if isinstance(feature, Table):
        raise BundleError(f"{arm}: a table of features describes no new image; choose an arm whose feature does")
    asked = dict(zip([f.name for f in prepared.features], study.features, strict=False))  # random twins were not asked
    if not feature.is_deep:
        _refuse_code(asked.get(feature.name))
    matrix, classes, labels = extracted.matrices[arm.feature], len(manifest.classes), manifest.labels
    plan = plan_arm(arm, 1, 1, matrix, feature.standardise, prepared.free, {})
    if plan.most.bytes > prepared.free:
        need, have = format_bytes(plan.most.bytes), format_bytes(max(prepared.free, 0))
        raise BundleError(f"{arm}: needs {need} ({plan.most.how}) of {have}: raise --memory{plan.otherwise}")
    with threadpool_limits(study.threads):
        route = plan.route.name if plan.route else ""
        whole = fit_reducer(arm.reducer, matrix, feature.standardise, route, study.jobs or 1)
        parts = arm.reducer, matrix, feature.standardise, extracted.keys[arm.feature], plan.route, study.tested
        reduced = partial(reduction_of, *parts, prepared.store, study.threads)
        models = inner_models(arm.head, labels, classes, chosen_by, reduced, lambda pair: seed)
        inner = [(one.fit.rows, held) for one, held in chosen_by]
        head, prefixes = make_head(arm.head, seed, whole.stored != "as is"), models[0].reduction.prefixes
        X, rows = transform_all(whole, matrix), np.arange(len(matrix))
        given = classes, study.threshold, study.calibration, prefixes, score_inner(models, inner)[0]
        found = fit_chosen(head, X, labels, rows, inner, *given)
        reducer, estimator = whole.first(found.params.get(COMPONENTS)), found.estimator
        if COMPONENTS in found.params:  # fewer components are other products, in the last bits
            X = transform_all(reducer, matrix)
            estimator = fit_setting(head, without_components(found.params), X, labels)
    about = {
        "kind": "features",
        "feature": {
            "asked": asked.get(feature.name),
            "name": feature.name,
            "width": matrix.shape[1],
            "weights": _weights_about(feature, asked.get(feature.name)),
        },
        "reducer": {"name": arm.reducer, "stored": reducer.stored, "columns": X.shape[1]},
        "head": {"name": arm.head},
    }
    if feature.is_deep:
        about["feature"] |= {"layer": feature.layer, "precision": feature.precision, "batch": feature.batch}
    chosen = {"params": found.params, "threshold": found.threshold, "inner_auroc": found.inner_auroc}
    chosen |= {"notes": found.notes, "calibration": found.calibration}
    chosen["inner"] = mean_by_row(inner, found.inner_scores)
    model = FeatureModel(feature, reducer, estimator, classes, study.threads)
    return view_of(feature, prepared.preprocess), model, X, about, chosen


def _as_extracted(prepared, extracted, name):
    """A feature of the study, with the batch in which its rows were computed."""
    feature = next(feature for feature in prepared.features if feature.name == name)
    batch = extracted.keys.get(name, {}).get("batch")
    return feature.having(batch=batch) if batch else feature


def _weights_about(feature, asked):
    """What finds a backbone's parameters again; None where there are none, or code of one's own brings them."""
    if not feature.is_deep:
        return None

    from glomfeat.features.deep.cut import backbone

    found, plain = feature.weights_found, feature.builder.plain
    if feature.build is not backbone and plain is None:
        _refuse_code(asked)
        return None
    about = {"model": feature.model, "name": found.name, "sha256": found.sha256, "mean": found.mean, "std": found.std}
    return about | ({"timm": plain} if plain else {})


def _refuse_code(name):
    """Refuse a part that a bundle could not name."""
    if isinstance(name, Own):
        stem = name.partition(".")[0]
        raise BundleError(
            f"{name} is an object of a Python session, and a bundle holds no code: write a function {stem} that "
            f"returns it into a module such as mylab.py, and name it mylab:{stem}"
        )


def _fit_net(prepared, extracted, arm, seed, chosen_by):
    from glomfeat.models.nets import converges, find_architecture
    from glomfeat.models.nets.run import fit_net

    if find_architecture(arm.net) is None:
        _refuse_code(arm.net)
    study, manifest, classes = prepared.study, extracted.manifest, len(extracted.manifest.classes)
    settings = prepared.net_settings(arm.net)
    pixels, labels, rows = extracted.pixels[settings["side"], LANCZOS], manifest.labels, np.arange(len(manifest))
    valid_seed = seed_for(study.seed, "inner-valid", REFIT)
    inner = [inner_valid_split(labels, manifest.cases, rows, NO_ROWS, valid_seed)]
    if converges(arm.net, settings):
        inner = [(one.fit.rows, held) for one, held in chosen_by]
    given = {**settings, "seed": seed, "classes": classes}
    found = fit_net(arm.net, given, pixels, labels, rows, inner, study.threshold, study.calibration, study.threads)
    net, architecture = found.estimator, find_architecture(arm.net)
    about = {
        "kind": "net",
        "net": {
            "name": arm.net,
            "side": settings["side"],
            "layers": architecture.layers if architecture else None,
            "batch": net.batch_size,
            "precision": net.module__precision,
            "started_from": net.weights_,
            "parameters": net.n_parameters_,
        },
    }
    chosen = {"params": found.params, "threshold": found.threshold, "inner_auroc": found.inner_auroc}
    chosen |= {"images": net.n_learnt_, "calibration": found.calibration, "notes": found.notes}
    chosen["inner"] = mean_by_row(inner, found.inner_scores)
    preprocess = replace(prepared.preprocess, size=settings["side"])
    return preprocess, NetModel(net, classes), None, about, chosen


def _shortcut_rows(prepared, manifest, preprocess):
    """Size and plain colour of all images; the decoded pixels are stored already."""
    feature, study = make_feature("shortcut"), prepared.study
    found = extract(manifest, [feature], preprocess, prepared.store, study.jobs or 1, budget=prepared.free)
    return np.asarray(found.matrices[feature.name][:])


def _out_of_fold(predictions, of_case):
    """Scores of the study as arrays: no name of an image or a case goes with the model."""
    several = [name for name in predictions.columns if name.startswith("score_")]
    known = predictions[predictions["case"].isin(of_case)]
    return {
        "score": known[several or ["score"]].to_numpy(np.float64),
        "label": known["label"].to_numpy(np.int64),
        "case": known["case"].map(of_case).to_numpy(np.int64),
        "repeat": known["repeat"].to_numpy(np.int64),
    }


def save_models(prepared, extracted, say, arms=None, include_weights=False):
    """Fit arms of a finished study on all of its images and write a bundle of each into ``OUT/models``.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
        Of the study.
    say : callable
        Called with each line that the user should read.
    arms : sequence of str, optional
        By default all of the study but the floor, the best one last, so that it is the newest.
    include_weights : bool

    Returns
    -------
    dict of str to pathlib.Path
        The folder of each arm that has one, old or new.
    """
    out, found = Path(prepared.study.out).expanduser(), {}
    models, ranked = out / "models", pd.read_csv(out / "results.csv")["arm"].tolist()
    for arm in arms or [arm for arm in reversed(ranked) if arm != FLOOR]:
        folder = models / folder_of(arm)
        if folder.exists():
            say(f"{arm}: {folder} is there already and is kept")
            found[arm] = folder
            continue
        try:
            save_bundle(refit_arm(prepared, extracted, arm, say), folder, include_weights)
        except BundleError as error:
            say(f"{arm}: no bundle: {error}")
            continue
        except (Exception, SystemExit) as error:
            if not calls_own(arm):
                raise
            say(f"{arm}: no bundle: {in_words(error)}")
            continue
        say(f"{arm}: {folder}")
        found[arm] = folder
    return found
