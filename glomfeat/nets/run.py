"""A network's trial: train on some rows, score others, and say what it cost."""

import time

import torch

from glomfeat.nets.device import threads
from glomfeat.nets.make import make_net


def train_and_score(name, settings, pixels, labels, fit, valid, test, n_threads=1, inside=0):
    """Train a network and score the test rows once.

    Parameters
    ----------
    name : str
    settings : dict
        Of `glomfeat.nets.make_net`.
    pixels : Matrix or ndarray of uint8, shape (n, side, side, 3)
    labels : ndarray of int, shape (n,)
    fit, valid, test : ndarray of int
        Rows to learn from, to choose the epoch by (inner-valid), and to score.
    n_threads : int
        Of torch, while this runs.
    inside : int
        Into how many test images of each kind to look, see `glomfeat.inside.choose_rows`; labels of the test rows are
        looked at for that alone.

    Returns
    -------
    dict
        ``scores`` and ``inner_valid_scores``: float64, shape (rows, classes); ``curves``: a dict per epoch;
        ``reason``: notes; ``params``: the epoch that was kept, and of how many; ``parameters``; ``fit_s``,
        ``predict_s``; on a GPU ``peak_vram_mb``; ``inside`` if asked for: ``rows`` and maps, or ``why`` there are none.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
    >>> rows, y = np.arange(8), np.arange(8) % 2
    >>> settings = {"side": 16, "epochs": 1, "device": "cpu"}
    >>> found = train_and_score("compact", settings, pixels, y, rows[:4], rows[4:6], rows[6:])
    >>> found["scores"].shape, found["params"]
    ((2, 2), {'epoch': 1, 'epochs': 1})
    """
    net = make_net(name, **settings)
    on_gpu = torch.device(net.device).type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(net.device)
    with threads(n_threads):
        net.fit(pixels, labels, train=fit, valid=valid)
        start = time.perf_counter()
        scores = net.predict_proba(pixels, rows=test)
        predict_s = time.perf_counter() - start
        of_valid, seen = net.predict_proba(pixels, rows=valid), None
        if inside and scores.shape[1] == 2:
            from glomfeat.nets.looking import look_into_net  # what draws maps takes half a second to import

            seen = look_into_net(net, pixels, test, labels, scores[:, 1], inside)
    found = {
        "reason": "; ".join(net.notes_),
        "params": {"epoch": net.best_epoch_, "epochs": len(net.curves_)},
        "parameters": net.n_parameters_,
        "curves": net.curves_,
        "scores": scores,
        "inner_valid_scores": of_valid,
        "fit_s": round(net.fit_s, 4),
        "predict_s": round(predict_s, 5),
    }
    if seen:
        found["inside"] = seen
    if on_gpu:
        found["peak_vram_mb"] = round(torch.cuda.max_memory_allocated(net.device) / 1e6, 1)
    return found
