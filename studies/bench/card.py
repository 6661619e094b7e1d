"""The rows of a GPU, within some minutes: ours beside a plain loop and beside nothing but the network's passes."""

import datetime
import json
import tempfile
import time
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.nn import functional
from torch.utils.data import DataLoader

from glomfeat.core.atomic import write_text
from glomfeat.core.cache import Store
from glomfeat.core.environment import environment
from glomfeat.core.locks import alone_in
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.phantom import Phantom, make_phantom
from glomfeat.features.deep.device import HALF, find_device, tf32
from glomfeat.features.deep.network import deep
from glomfeat.features.deep.weights import random_network
from glomfeat.features.extract import extract
from glomfeat.models.nets.make import make_net
from studies.bench.ours import read_pixels
from studies.bench.torch import MEAN, NORMALISED, STD, Images, features_of

SIZES = SimpleNamespace(
    images=2048, side=224, nets=("resnet18", "vgg16", "vit_l_16"), epochs=5, batch=256, workers=8, passes=4
)
QUICK = SimpleNamespace(images=12, side=64, nets=("squeezenet1_1",), epochs=1, batch=4, workers=1, passes=1)
WAYS = "ours", "plain loop", "passes alone"


def bench_card(options, command):
    """Measure what a `studies.bench.Bench` asks for with ``--minutes``; give what card.json holds."""
    at, out = SimpleNamespace(**vars(QUICK if options.quick else SIZES)), Path(options.out).expanduser()
    at.device, at.seed, at.jobs = find_device(options.device), options.seed, options.jobs or at.workers
    at.precisions = ("bfloat16", "tf32", "float32") if at.device.type == "cuda" else ("float32",)
    ends, report = time.perf_counter() + 60 * options.minutes, {"command": command, "rows": [], "quick": options.quick}
    report |= {"date": datetime.date.today().isoformat(), "minutes": options.minutes, "device": str(at.device)}
    with alone_in(out, "--out"), tempfile.TemporaryDirectory(prefix="glomfeat-bench-") as scratch:
        at.home = Path(scratch)
        at.folder = make_phantom(at.home / "images", Phantom(images=at.images, cases=4, seed=at.seed), at.jobs)
        at.manifest, _, at.pixels = read_pixels(at.home, at.folder, at.side, at.jobs)
        at.shards = at.pixels.shards()
        rows = list(_rows(at))
        for number, (what, ways) in enumerate(rows):
            row, share = {"what": what}, (ends - time.perf_counter()) / (len(rows) - number)
            late = {"status": "skipped", "reason": "no time was left for it"}
            try:
                row |= {"status": "done", **_measured(ways, share, at.device)} if share > 0 else late
            except Exception as error:  # one that fails leaves the others their time
                row |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
            report["rows"].append(row)
            report["environment"] = environment(options, {})
            write_text(out / "card.json", json.dumps(report, indent=2) + "\n")
            write_text(out / "card.md", to_markdown(report))
    return report


def _measured(ways, share, device):
    """Images a second of each way, the best of as many rounds as its share of the time allows, and its peak."""
    found, cuda = {}, device.type == "cuda"
    for way, make in ways.items():
        if cuda:
            torch.cuda.reset_peak_memory_stats(device)
        ends, best, work = time.perf_counter() + share / len(ways), 0.0, make()
        for number in count():
            start = time.perf_counter()
            n = work()
            if cuda:
                torch.cuda.synchronize(device)
            took = time.perf_counter() - start
            best = max(best, n / took)
            if number and time.perf_counter() + took > ends:  # the first round warms up
                break
        found[way] = best
        if cuda:
            found[f"{way}, MB"] = torch.cuda.max_memory_allocated(device) / 1e6
    return found


def _rows(at):
    """What is measured, what matters most first: its name, and what makes the function of each way."""

    def stored(precision):
        for model in at.nets:
            ways = [partial(way, at, model, precision) for way in (_stream, _loop, _pass)]
            yield f"{model}, {precision}, stored pixels", dict(zip(WAYS, ways, strict=True))

    first, *others = at.precisions
    yield from stored(first)
    ways = [partial(way, at, at.nets[0]) for way in (_train, _train_plainly, _steps)]
    yield f"{at.nets[0]}:finetune, {at.epochs} epochs", dict(zip(WAYS, ways, strict=True))
    ways = [partial(_extract, at, at.nets[0], first), partial(_loop, at, at.nets[0], first, files=True)]
    yield f"{at.nets[0]}, {first}, from PNG", dict(zip(WAYS, ways, strict=False))
    for precision in others:
        yield from stored(precision)


def _feature(at, model, precision):
    return deep(model, "none", None, str(at.device), precision, at.side).within(None, at.side)


def _stream(at, model, precision):
    """Ours: stored shards flow through the network."""
    feature = _feature(at, model, precision)

    def work():
        stream = feature.stream(at.side, at.jobs)
        for shard in at.passes * at.shards:
            stream.add(shard, len)
        stream.finish()
        return at.passes * at.images

    return work


def _extract(at, model, precision):
    """Ours: `extract` into an empty store, with decoding and all that is stored."""
    feature, rounds = _feature(at, model, precision), count()

    def work():
        store = Store(str(at.home / f"store {next(rounds)}"))
        found = extract(at.manifest, [feature], Preprocess(at.side), store, at.jobs)
        if found.failed:
            raise RuntimeError(found.failed[feature.name])
        return at.images

    return work


def _autocast(at, precision):
    return torch.autocast(at.device.type, HALF.get(precision), enabled=precision in HALF)


def _loop(at, model, precision, files=False):
    """An eager network behind a DataLoader, of stored pixels or of files."""
    net, data = features_of(model, at.device), _Stored(at.pixels)
    if files:
        data = Images(at.folder, at.side, *NORMALISED)

    @torch.inference_mode()
    def work():
        with tf32(precision == "tf32", at.device), _autocast(at, precision):
            for batch in DataLoader(data, at.batch, num_workers=at.workers, pin_memory=at.device.type == "cuda"):
                net(batch.to(at.device, non_blocking=True)).float().cpu()
        return at.images

    return work


class _Stored(torch.utils.data.Dataset):
    """Stored pixels, normalised, with their labels where these are given."""

    def __init__(self, pixels, labels=None):
        self.pixels, self.labels = pixels, labels
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, k):
        image = (torch.from_numpy(self.pixels[[k]][0]).permute(2, 0, 1) / 255 - self.mean) / self.std
        return image if self.labels is None else (image, int(self.labels[k]))


def _pass(at, model, precision):
    """Compiled passes of tensors that lie on the device."""
    net = features_of(model, at.device).to(HALF.get(precision, torch.float32), memory_format=torch.channels_last)
    net = torch.compile(net) if at.device.type == "cuda" else net
    batch = torch.rand(at.batch, 3, at.side, at.side, device=at.device, dtype=next(net.parameters()).dtype)
    batch = batch.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def work():
        with tf32(precision == "tf32", at.device):
            for start in at.passes * [*range(0, at.images, at.batch)]:
                net(batch[: at.images - start])
        return at.passes * at.images

    return work


def _train(at, model):
    """Ours: a training without inner-valid rows."""
    settings = {"side": at.side, "epochs": at.epochs, "device": str(at.device), "weights": "none", "batch": at.batch}

    def work():
        make_net(f"{model}:finetune", **settings).fit(at.pixels, at.manifest.labels)
        return at.epochs * at.images

    return work


def _train_plainly(at, model):
    """The same steps behind a DataLoader, with autocast where there is a GPU."""
    given = {"num_workers": at.workers, "pin_memory": at.device.type == "cuda"}
    loader = DataLoader(_Stored(at.pixels, at.manifest.labels), at.batch, shuffle=True, **given)
    step = _step(at, model)

    def work():
        for _ in range(at.epochs):
            for images, y in loader:
                step(images.to(at.device, non_blocking=True), y.to(at.device, non_blocking=True))
        return at.epochs * at.images

    return work


def _steps(at, model):
    """As many steps on one batch that lies on the device."""
    images = torch.rand(at.batch, 3, at.side, at.side, device=at.device).to(memory_format=torch.channels_last)
    y, step = torch.arange(at.batch, device=at.device) % 2, _step(at, model)

    def work():
        for _ in range(at.epochs):
            for start in range(0, at.images, at.batch):
                step(images[: at.images - start], y[: at.images - start])
        return at.epochs * at.images

    return work


def _step(at, model):
    """A step of AdamW on a network of torchvision."""
    net = random_network(model).to(at.device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), 1e-5)

    def step(images, y):
        with _autocast(at, "bfloat16" if at.device.type == "cuda" else "float32"):
            loss = functional.cross_entropy(net(images), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def to_markdown(report):
    """The table of a GPU, with card, date and versions."""
    machine = report["environment"]
    packages = ", ".join(f"{name} {machine['packages'].get(name)}" for name in ("torch", "torchvision", "numpy"))
    where = f"{machine.get('gpu') or report['device']}, CUDA {machine.get('cuda')}, {machine['cores']} cores"
    lines = [f"`{report['command']}`: {report['date']}, {where}, glomfeat {machine['glomfeat']}, {packages}", ""]
    lines += ["| what | " + " | ".join(f"{way}, images/s" for way in WAYS) + " | of the loop | of passes | peak MB |"]
    lines += ["|---|---:|---:|---:|---:|---:|---:|"]
    for row in report["rows"]:
        rates = [f"{row[way]:,.0f}" if way in row else "" for way in WAYS]
        ratios = [f"{row['ours'] / row[way]:.2f}" if {"ours", way} <= {*row} else "" for way in WAYS[1:]]
        peak = f"{row['ours, MB']:,.0f}" if "ours, MB" in row else ""
        lines.append("| " + " | ".join([row["what"], *rates, *ratios, peak]) + " |")
    said = [f"Not measured: {row['what']}: {row['reason']}" for row in report["rows"] if "reason" in row]
    said += ["QUICK: sizes of seconds; the figures mean nothing"] if report["quick"] else []
    return "\n\n".join(["\n".join(lines), *said]) + "\n"
