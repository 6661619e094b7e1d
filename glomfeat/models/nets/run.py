"""A network's trial: train on some rows, choose threshold and calibration, score others, and say what it cost."""

import time
from functools import partial

import numpy as np
import torch

from glomfeat.features.deep.device import find_device
from glomfeat.metrics.scores import auroc
from glomfeat.models.nets import without_tuning
from glomfeat.models.nets.make import make_net
from glomfeat.models.nets.repeating import threads
from glomfeat.models.nets.tune import choose_settings
from glomfeat.models.selection import Chosen, fit_decision


def fit_net(name, settings, pixels, labels, train, inner, rule, calibration="none", n_threads=1):
    """Train a network, choosing threshold and calibration on rows before it learns them, like `fit_chosen` for heads.

    Parameters
    ----------
    name : str
    settings : dict
        Settings of `glomfeat.models.nets.make_net`. With ``tune``, which is True or a grid of
        `glomfeat.models.nets.grid.read_grid`, what `choose_settings` finds overrides them.
    pixels : Matrix or ndarray of uint8, shape (n, side, side, 3)
    labels : ndarray of int, shape (n,)
    train : ndarray of int
        All rows that the network learns in the end.
    inner : list of (fit, inner_valid)
        One split, whose `fit` rows are learnt first; or, for a last layer that is fitted to convergence (see
        `glomfeat.models.nets.converges`), the splits on which its penalty is chosen. If inner-valid rows lie outside of
        `train`, they are scored and never learnt.
    rule, calibration : str
        As `glomfeat.models.selection.fit_chosen`.
    n_threads : int
        Threads of torch while this runs.

    Returns
    -------
    Chosen
        Its estimator is the network.

    Examples
    --------
    >>> pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
    >>> rows, y, settings = np.arange(8), np.arange(8) % 2, {"side": 16, "epochs": 2, "device": "cpu"}
    >>> chosen = fit_net("compact", settings, pixels, y, rows, [(rows[:4], rows[4:])], "balanced")
    >>> chosen.params, chosen.inner_scores.shape
    ({'epochs': 2, 'then on all': 1}, (4,))
    """
    tune, settings, tuned = settings.get("tune"), without_tuning(settings), {}
    net = make_net(name, **settings)
    with threads(n_threads):
        if net.converge:
            return net.fit_converged(pixels, labels, train, inner, rule, calibration)
        ((fit, valid),) = inner
        if tune:
            tuned = choose_settings(name, settings, tune, pixels, labels, fit, valid)
            net = make_net(name, **settings | tuned)
        if not np.isin(valid, train).all():
            net.set_params(again=0.0)
        net.fit(pixels, labels, train=fit, valid=valid)
    scores = net.valid_scores_[:, 1] if len(net.classes_) == 2 else net.valid_scores_
    calibrated, threshold = fit_decision(labels[valid], scores, rule, calibration)
    notes = (*net.notes_, *filter(None, [calibrated.note]))
    return Chosen(net, tuned | net.params_, threshold, auroc(labels[valid], scores), notes, calibrated, scores)


def train_and_score(
    name, settings, pixels, labels, train, inner, test, rule, calibration="none", n_threads=1, inside=0
):
    """Train a network and score the test rows once.

    Parameters
    ----------
    name, settings, pixels, labels, train, inner, rule, calibration, n_threads
        As `fit_net`.
    test : ndarray of int
        Rows to score.
    inside : int
        For how many test images of each kind to make maps, see `glomfeat.models.nets.choose.choose_rows`. This is the
        only use of the labels of test rows.

    Returns
    -------
    chosen : Chosen
        As `fit_net`.
    scores : ndarray of float64, shape (rows,) for two classes, else (rows, classes)
        Scores before calibration.
    about : dict
        ``n_train``: number of images that were learnt; ``curves``: a dict per epoch; ``parameters``: their number;
        ``fit_s``, ``predict_s``: seconds; on a GPU ``peak_vram_mb``; ``inside`` if asked for: ``rows`` and maps, or
        ``why`` there are none.

    Examples
    --------
    >>> pixels = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), np.uint8)
    >>> rows, y, settings = np.arange(10), np.arange(10) % 2, {"side": 16, "epochs": 1, "device": "cpu"}
    >>> inner = [(rows[:4], rows[4:8])]
    >>> chosen, scores, about = train_and_score("compact", settings, pixels, y, rows[:8], inner, rows[8:], "balanced")
    >>> scores.shape, [epoch["learns"] for epoch in about["curves"]]
    ((2,), ['fit', 'all'])
    """
    gpu = find_device(settings.get("device", "auto"))
    on_gpu = torch.device(gpu).type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(gpu)
    chosen = fit_net(name, settings, pixels, labels, train, inner, rule, calibration, n_threads)
    net, seen = chosen.estimator, None
    with threads(n_threads):
        start = time.perf_counter()
        scores = net.predict_proba(pixels, rows=test)
        predict_s = time.perf_counter() - start
        if inside and scores.shape[1] == 2:
            from glomfeat.models.nets.look import look_into  # captum takes half a second to import
            from glomfeat.models.nets.saliency import inside_net

            final = chosen.calibration.apply(scores[:, 1])
            seen = look_into(partial(inside_net, net), pixels, test, labels, final, chosen.threshold, inside)
    about = {
        "n_train": net.n_learnt_,
        "parameters": net.n_parameters_,
        "curves": net.curves_,
        "fit_s": round(net.fit_s, 4),
        "predict_s": round(predict_s, 5),
    }
    if seen:
        about["inside"] = seen
    if on_gpu:
        about["peak_vram_mb"] = round(torch.cuda.max_memory_allocated(gpu) / 1e6, 1)
    return chosen, scores[:, 1] if scores.shape[1] == 2 else scores, about
