"""Measure a GPU within some minutes: glomfeat, compared with a plain loop and with the network's passes alone."""

import time
from functools import partial
from itertools import count
from types import SimpleNamespace

import torch

from glomfeat.data.phantom import Phantom, make_phantom
from studies.bench import ours
from studies.bench import torch as peers
from studies.bench.table import WAYS

WORKERS = 8
SIZES = {
    **{"images": 2048, "side": 224, "nets": ("resnet18", "vgg16", "vit_l_16"), "epochs": 5},
    **{"batch": 256, "workers": WORKERS, "passes": 4},
}
QUICK = {"images": 12, "side": 64, "nets": ("squeezenet1_1",), "epochs": 1, "batch": 4, "workers": 1, "passes": 1}


def measure_card(options, at, scratch):
    """Measure what a `studies.bench.Bench` asks for with ``--minutes``; yield lists of rows.

    The remaining rows share the remaining time equally, and a row that fails does not affect the others.
    """
    ends, spec = time.perf_counter() + 60 * options.minutes, QUICK if options.quick else SIZES
    at = SimpleNamespace(**vars(at), **spec, home=scratch / "described", folder=scratch / "images")
    make_phantom(at.folder, Phantom(images=at.images, cases=4, seed=at.seed), at.jobs)
    at.manifest, at.pixels = ours.read_pixels(at.folder, at.side, at.jobs, scratch / "pixels")
    rows = list(_rows(at))
    for number, (what, sides) in enumerate(rows):
        share = (ends - time.perf_counter()) / (len(rows) - number)
        late = {"status": "skipped", "reason": f"{what}: no time was left for it"}
        try:
            found = {"status": "done", **_measured(sides, share, at.device)} if share > 0 else late
        except Exception as error:
            found = {"status": "failed", "reason": f"{what}: {type(error).__name__}: {error}"}
        yield [{"what": what} | found]


def _measured(sides, share, device):
    """Images per second and peak memory of each way: the best of as many rounds as its share of the time allows."""
    found, cuda = {}, torch.device(device).type == "cuda"
    for way, (images, make) in zip(WAYS, sides, strict=False):
        side = make()  # replaces the way before, so that its memory is free
        if cuda:
            torch.cuda.reset_peak_memory_stats(device)
        ends, best = time.perf_counter() + share / len(sides), 0.0
        next(side)
        for number in count():
            start = time.perf_counter()
            next(side)
            if cuda:
                torch.cuda.synchronize(device)
            took = time.perf_counter() - start
            best = max(best, images / took)
            if number and time.perf_counter() + took > ends:  # the first round warms up
                break
        found[way] = best
        if cuda:
            found[f"{way}, MB"] = torch.cuda.max_memory_allocated(device) / 1e6
    return found


def _rows(at):
    """List what is measured, the most important first: its name, and the images and the side of each of `WAYS`."""
    many, trained, net, labels = at.passes * at.images, at.epochs * at.images, at.nets[0], at.manifest.labels
    on, data = {"device": at.device, "batch": at.batch}, peers.Stored(at.pixels, labels)
    looped = on | {"workers": at.workers}

    def make(model, precision):
        return partial(ours.network, model, at.side, at.device, precision)

    def stored(precision):
        for model in at.nets:
            flow = partial(ours.stream, at.pixels, at.passes, at.side, at.jobs, make(model, precision))
            loop = partial(peers.describe, data, model, precision=precision, **looped)
            bare = partial(peers.forward, many, at.side, model, precision=precision, **on)
            yield f"{model}, {precision}, stored pixels", [(many, flow), (at.images, loop), (many, bare)]

    first, *others = ("bfloat16", "tf32", "float32") if at.device.startswith("cuda") else ("float32",)
    yield from stored(first)
    fit = partial(ours.fine_tune, at.pixels, labels, net, side=at.side, epochs=at.epochs, **on)
    loop, bare = partial(peers.train, data, at.epochs, net, **looped), partial(peers.steps, trained, at.side, net, **on)
    yield f"{net}:finetune, {at.epochs} epochs", [(trained, way) for way in (fit, loop, bare)]
    described = partial(ours.describe, at.folder, at.side, at.jobs, make(net, first), folder=at.home)
    loop = partial(peers.describe, peers.images_in(at.folder, at.side), net, precision=first, **looped)
    yield f"{net}, {first}, from PNG", [(at.images, described), (at.images, loop)]
    if others:  # a GPU
        yield f"{net}:finetune, compiled, {at.epochs} epochs", [(trained, partial(fit, compile=True))]
    for precision in others:
        yield from stored(precision)
