"""Fit one arm of a study on all of its images, with all choices made as in the study, on inner splits by case."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches

from glomfeat.bundle.codecs import to_json
from glomfeat.bundle.columns import from_table
from glomfeat.bundle.ensemble import Ensemble, share_features
from glomfeat.bundle.format import FORMAT, OF_IMAGES, VERSION, BundleError, preprocess_to, versions
from glomfeat.bundle.model import Bundle
from glomfeat.bundle.of_table import TableBundle, TableEnsemble, digests_of
from glomfeat.bundle.reference import make_reference
from glomfeat.bundle.save import folder_of, save_bundle
from glomfeat.bundle.seen import Seen, digests_of_cases, digests_of_pixels
from glomfeat.bundle.selftest import make_checks
from glomfeat.comparison.bundle_notes import about_features, about_net, refuse_code, weights_about
from glomfeat.comparison.fit_on_all import NO_SPLIT, choose_by, feature_of, fit_on_all
from glomfeat.comparison.starts import learnt_before
from glomfeat.comparison.tasks import rows_of
from glomfeat.core.arms import FLOOR, Arm
from glomfeat.core.csvs import read_csv
from glomfeat.core.part_errors import in_words
from glomfeat.core.plugins import did_you_mean, is_own, name_of
from glomfeat.core.words import joined as listed
from glomfeat.data.cases import pseudonyms
from glomfeat.data.embeddings.named import AT_ONCE
from glomfeat.features.extract import extract
from glomfeat.features.make import make_feature
from glomfeat.features.pixels import pixel_digest
from glomfeat.features.seen import plain
from glomfeat.features.table import Table
from glomfeat.models.ensemble import calibration_for, choose_mean
from glomfeat.models.nets import find_architecture, is_own_net


def calls_own(arm):
    """Whether an arm, or a member of it, has a part of the user's own.

    Examples
    --------
    >>> calls_own("a.v1/none/mylab:lda"), calls_own("mean:a.v1/none/svm,net:compact")
    (True, False)
    """
    arm = Arm.parse(arm)
    return any(is_own(one.reducer) or is_own(one.head) or is_own_net(one.network) for one in [arm, *arm.members])


def read_outcome(out, arm):
    """Read what the study found for an arm.

    Parameters
    ----------
    out : path-like
        Output folder of a finished study.
    arm : str

    Returns
    -------
    expected : dict
        The arm's row of results.csv, its ``rank``, and in ``of`` the number of finished arms without the floor.
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
    results = read_csv(files[0], keep_default_na=True)
    names = results["arm"].tolist()
    if arm not in names:
        raise BundleError(f"{out} has no arm {arm!r}: {did_you_mean(arm, names)}")
    if arm == FLOOR:
        raise BundleError(f"{arm} is the floor and looks at no image: choose another arm")
    row = results[results["arm"] == arm].iloc[0].to_dict()
    if row["status"] != "done":
        raise BundleError(
            f"{arm} is {row['status']} in {out}: finish the study first, because its figures go with the model"
        )
    finished = (results["status"] == "done") & (results["arm"] != FLOOR)
    ranked = results["arm"][finished].tolist()
    predictions = pd.read_parquet(files[1], filters=[("arm", "==", arm)])
    return {**row, "rank": ranked.index(arm) + 1, "of": len(ranked)}, predictions


def refit_arm(prepared, extracted, arm, say=lambda line: None, to_save=True):
    """Fit an arm on all images of a study.

    See `glomfeat.comparison.fit_on_all.fit_on_all`. Members of an ensemble are fitted in this way and calibrated, and
    the threshold of the ensemble is chosen on the mean of their scores for inner-valid rows.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
        With the feature or pixels of the arm or of its members.
    arm : str
    say : callable
        Called with each line that the user should read.
    to_save : bool
        Whether a bundle on disk must be able to name its parts; otherwise these may include code of the user's own.

    Returns
    -------
    Bundle
        In memory, ready to predict.

    Raises
    ------
    BundleError
        The study is not finished, or no bundle can hold the arm.
    """
    arm = next((one for one in prepared.arms if str(one) == str(arm)), None) or Arm.parse(str(arm))
    refuse_joined(prepared, arm)
    if not to_save:
        prepared = replace(prepared, called={})
    if not (chosen_by := choose_by(extracted.manifest, prepared.study)):
        raise BundleError(f"{NO_SPLIT}, and by them a bundle tells what is unlike the images that it has learnt")
    given = prepared, extracted, arm, chosen_by, say, to_save
    return _checked(_refit_ensemble(*given) if arm.members else _refit(*given)[0])


def _checked(made):
    """A bundle with the scores by which an installation is tested."""
    return replace(made, about=made.about | {"checks": to_json(make_checks(made))})


def _refit_ensemble(prepared, extracted, arm, chosen_by, say, to_save):
    study, labels = prepared.study, extracted.manifest.labels
    kind = calibration_for(study.calibration)
    table = _one_table(prepared, extracted, arm)
    about, kept, seen = _common(prepared, extracted, arm)
    calibrated = replace(prepared, study=replace(study, calibration=kind))
    members, inner = [], []
    for member in arm.members:
        made, scored = _refit(calibrated, extracted, member, chosen_by, say, to_save)
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
    if table is not None:
        about["table"] = members[0].about["feature"]["table"]
    made = Ensemble if table is None else TableEnsemble
    seen = seen if table is not None else seen.with_pixels(members[0].seen.pixels)  # for it decodes as that one does
    return made(to_json(about), members[0].preprocess, None, None, kept, seen, members=share_features(members))


def _one_table(prepared, extracted, arm):
    """The table that all members of an ensemble read; None if they read images."""
    tables = [_table_of(prepared, extracted, member) for member in arm.members]
    if len({id(table) for table in tables}) > 1:
        read = dict.fromkeys("images" if table is None else table.name for table in tables)
        raise BundleError(
            f"{arm}: its members read {' and '.join(read)}, and a bundle reads images or rows of one table: refit the "
            "members one by one, or join the tables into one"
        )
    return tables[0]


def _table_of(prepared, extracted, arm):
    """The table whose rows an arm reads, or None."""
    feature = None if arm.net or arm.feature in extracted.failed else feature_of(prepared, extracted, arm)
    return feature if isinstance(feature, Table) else None


def _refit(prepared, extracted, arm, chosen_by, say, to_save):
    """A bundle without its checks, and what `glomfeat.models.ensemble.choose_mean` needs from it."""
    study, manifest = prepared.study, extracted.manifest
    common, kept, seen = _common(prepared, extracted, arm)
    of_arm = about_net if arm.net else about_features
    if to_save:
        _refuse_unnamed(prepared, extracted, arm)
    table = _table_of(prepared, extracted, arm)
    say(f"{arm}: fitted on all {len(manifest)} {'images' if table is None else 'rows'}")
    fitted, plain = fit_on_all(prepared, extracted, arm, chosen_by), None
    if table is None:
        plain, pixels = _plain_rows(prepared, manifest, fitted.preprocess)
        seen = seen.with_pixels(digests_of_pixels(pixels))
    else:
        shown = table.shown_texts(manifest.table["name"].tolist(), manifest.cases, study.show_names)
        columns = from_table(table, extracted.matrices[arm.feature], shown)
        fitted = replace(fitted, preprocess=None, model=replace(fitted.model, feature=columns))
    reference, found = make_reference(plain, fitted.reduced, rows_of(chosen_by)), fitted.found
    chosen = {"params": found.params, "inner_auroc": found.inner_auroc}
    chosen |= {"images": found.estimator.n_learnt_} if arm.net else {}
    about = common | {
        "preprocess": preprocess_to(fitted.preprocess) if table is None else None,
        **of_arm(prepared, arm, fitted),
        "threshold": {"value": found.threshold, "rule": name_of(study.threshold)},
        "calibration": {"kind": found.calibration.kind, "maps": found.calibration.maps, "asked": study.calibration},
        "chosen": {**chosen, "notes": found.notes, "seed": fitted.seed},
    }
    of = Bundle if table is None else TableBundle
    made = of(to_json(about), fitted.preprocess, fitted.model, reference, kept, seen, found.calibration)
    return made, fitted.inner


def _common(prepared, extracted, arm):
    """What a bundle says about every arm, the arm's scores in the study, and what it has learnt from."""
    study, manifest = prepared.study, extracted.manifest
    expected, predictions = read_outcome(study.out, str(arm))
    names = pseudonyms(manifest.table["case"])
    cases = sorted(set(names.values()))
    numbers = {name: k for k, name in enumerate(cases)}
    of_case = {case: numbers[name] for case, name in names.items()}
    table = _table_of(prepared, extracted, arm.members[0] if arm.members else arm)
    own = manifest.digests if table is None else _rows_seen(table, extracted.matrices[table.name])
    called = manifest.table["case"].astype(str) if manifest.by_case else ()
    seen = Seen(own, cases={manifest.digest: digests_of_cases(called, manifest.digest)})
    seen = seen.after(learnt_before(study.init, arm, prepared.view_of_net))
    about = {
        "format": FORMAT,
        "version": OF_IMAGES if table is None else VERSION,
        "arm": str(arm),
        "classes": list(manifest.classes),
        "trained_on": {
            "images": len(manifest),
            "images_before": len(seen.files) - len(own),
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


def _rows_seen(table, stored):
    """Digests of the rows as the table has them, without indicators."""
    own = len(table.gaps.kept) if table.imputes else stored.shape[1]
    parts = [digests_of(np.asarray(stored[part])[:, :own]) for part in gen_batches(len(stored), AT_ONCE)]
    return np.array([digest for part in parts for digest in part], np.uint64)


def refuse_joined(prepared, arm):
    """Refuse an arm that reads columns of a table of labels, because a bundle is not given these.

    Parameters
    ----------
    prepared : Prepared
    arm : glomfeat.core.arms.Arm

    Raises
    ------
    BundleError
        The message says what to do.
    """
    for one in arm.members or [arm]:
        if one.feature in prepared.joining.bases:
            raise BundleError(
                f"{one} reads {listed(list(prepared.joining.columns.names))} of the table of labels, and a bundle is "
                "given images or rows of features alone: refit the arm without columns, or score places whose tables "
                "have them with --test"
            )


def _refuse_unnamed(prepared, extracted, arm):
    """Refuse parts that a bundle could not name."""
    if arm.net:
        if find_architecture(arm.network) is None:
            refuse_code(arm.network)
        return
    if arm.feature in extracted.failed:
        return
    feature = feature_of(prepared, extracted, arm)
    if isinstance(feature, Table):
        return
    if feature.is_deep:
        weights_about(plain(feature), prepared.called.get(arm.feature))
    else:
        refuse_code(prepared.called.get(arm.feature))


def _plain_rows(prepared, manifest, preprocess):
    """Size and plain colour of all images, and digests of their pixels, which are decoded and stored already."""
    features, study = [make_feature("shortcut"), pixel_digest()], prepared.study
    found = extract(manifest, features, preprocess, prepared.store, study.jobs or 1, budget=prepared.free)
    return [np.asarray(found.matrices[feature.name][:]) for feature in features]


def _out_of_fold(predictions, of_case):
    """Scores of the study as arrays, so that no name of an image or a case goes with the model."""
    several = [name for name in predictions.columns if name.startswith("score_")]
    known = predictions[predictions["case"].isin(of_case)]
    return {
        "score": known[several or ["score"]].to_numpy(np.float64),
        "label": known["label"].to_numpy(np.int64),
        "case": known["case"].map(of_case).to_numpy(np.int64),
        "repeat": known["repeat"].to_numpy(np.int64),
    }


def save_models(prepared, extracted, say, arms=None, include_weights=False):
    """Fit arms of a finished study on all of its images, and write a bundle of each into ``OUT/models``.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
        Of the study.
    say : callable
        Called with each line that the user should read.
    arms : sequence of str, optional
        By default all arms of the study except the floor; the best one comes last, so that it is the newest.
    include_weights : bool

    Returns
    -------
    dict of str to pathlib.Path
        The folder of each arm that has a bundle, old or new.
    """
    out, found = Path(prepared.study.out).expanduser(), {}
    models, ranked = out / "models", read_csv(out / "results.csv")["arm"].tolist()
    for arm in arms or [arm for arm in reversed(ranked) if arm != FLOOR]:
        folder = models / folder_of(arm)
        if folder.exists():
            say(f"{arm}: {folder} already exists and is kept")
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
