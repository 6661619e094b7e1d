"""The work of torch and torchvision that `studies.bench` measures, as their users would write it.

Networks have random parameters. Some passes or steps come before the timing, because the first ones take longer.
"""

import warnings
from itertools import chain, islice
from pathlib import Path

import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from glomfeat.features.deep.cut import cut_classes
from glomfeat.features.deep.device import HALF
from glomfeat.features.deep.weights import random_network
from studies.bench.peers import FIRST, open_square

WARM = 4  # passes or steps before the timing
NORMALISED = v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def images_in(folder, size):
    """Make a dataset of image files as normalised squares of `size` px, in the manifest's order, with labels."""
    resize = v2.Resize((size, size), v2.InterpolationMode.LANCZOS)
    found = ImageFolder(folder, v2.Compose([resize, v2.PILToTensor(), *NORMALISED]), loader=open_square)
    found.samples.sort(key=lambda sample: Path(sample[0]).name)
    return found


class Stored(Dataset):
    """A dataset of stored pixels, normalised, with labels."""

    def __init__(self, pixels, labels):
        self.pixels, self.labels, self.transform = pixels, labels, v2.Compose(NORMALISED)

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, k):
        return self.transform(torch.from_numpy(self.pixels[[k]][0]).permute(2, 0, 1)), int(self.labels[k])


def _on_cuda(device):
    return torch.device(device).type == "cuda"


def _wait_for(device):
    if _on_cuda(device):
        torch.cuda.synchronize(device)


def _autocast(device, precision):
    return torch.autocast(torch.device(device).type, HALF.get(precision), enabled=precision in HALF)


def _loader(data, device, batch, workers, **more):
    return DataLoader(data, batch, num_workers=workers, pin_memory=_on_cuda(device), **more)


def _features_of(model, device):
    """Build a network without its classes."""
    return cut_classes(random_network(model)).to(device).eval()


@torch.inference_mode()
def describe(data, model, device, precision, batch, workers):
    """Extract features with a DataLoader and an eager network."""
    net, loader = _features_of(model, device), _loader(data, device, batch, workers)
    first = torch.stack([data[0][0]] * batch).to(device)
    with _autocast(device, precision):
        for _ in range(WARM):
            net(first).cpu()
        yield
        rows = [net(images.to(device, non_blocking=True)).float().cpu() for images, _ in loader]
    yield torch.cat(rows).numpy()[:FIRST]


@torch.inference_mode()
def forward(n, size, model, device, precision, batch):
    """Run only the passes, for n images that are on the device already; compiled on a GPU, else traced and frozen."""
    net = _features_of(model, device).to(HALF.get(precision, torch.float32), memory_format=torch.channels_last)
    images = torch.rand(batch, 3, size, size, device=device, dtype=next(net.parameters()).dtype)
    images = images.to(memory_format=torch.channels_last)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but still faster on a CPU
        net = torch.compile(net) if _on_cuda(device) else torch.jit.freeze(torch.jit.trace(net, images))
    for count in (WARM * batch + n % batch, n):  # the last batch may have a shape of its own
        for start in range(0, count, batch):
            net(images[: count - start])
        _wait_for(device)
        yield


def train(data, epochs, model, device, batch, workers):
    """Train with a DataLoader, step by step."""
    yield from _steps([_loader(data, device, batch, workers, shuffle=True)] * epochs, model, device)


def steps(n, size, model, device, batch, exact=False):
    """Run only the training steps, for n images, on one batch that is on the device already."""
    torch.use_deterministic_algorithms(exact, warn_only=True)
    images = torch.rand(batch, 3, size, size, device=device).to(memory_format=torch.channels_last)
    yield from _steps([[(images, torch.arange(batch, device=device) % 2)] * (n // batch)], model, device)


def _steps(epochs, model, device):
    """Train a torchvision network on the batches of each epoch, with AdamW, and with autocast on a GPU."""
    net = random_network(model).to(device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), 1e-5)

    def step(images, y):
        with _autocast(device, "bfloat16" if _on_cuda(device) else "float32"):
            loss = functional.cross_entropy(net(images.to(device, non_blocking=True)), y.to(device, non_blocking=True))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    for part in ([islice(epochs[0], WARM)], epochs):
        for images, y in chain.from_iterable(part):
            step(images, y)
        _wait_for(device)
        yield
