"""What `studies.bench` measures of torch and torchvision, as a user of theirs would write it."""

import warnings

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from glomfeat.features.deep.cut import cut_classes
from glomfeat.features.deep.weights import random_network
from studies.bench.peers import FIRST, image_paths, open_square

BATCH = 32
WARM = 4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMALISED = v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)


class Images(Dataset):
    """Image files as squares of a size, through further transforms."""

    def __init__(self, folder, size, *further):
        resize = v2.Resize((size, size), v2.InterpolationMode.LANCZOS)
        self.paths, self.transform = image_paths(folder), v2.Compose([resize, v2.PILToTensor(), *further])

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, k):
        return self.transform(open_square(self.paths[k]))


def decode(folder, images, size, jobs):
    """Decode and resize with a DataLoader whose workers apply torchvision's transforms."""
    loader = DataLoader(Images(images, size), BATCH, num_workers=jobs)
    yield
    kept = [batch.permute(0, 2, 3, 1).numpy()[:FIRST] for batch in loader]
    yield np.concatenate(kept)[:FIRST]


def features_of(model, device):
    """A network with random parameters, down to the features."""
    return cut_classes(random_network(model)).to(device).eval()


@torch.inference_mode()
def describe(folder, images, size, device, jobs):
    """Extract features with a DataLoader and an eager network."""
    net, data = (
        features_of("resnet18", device),
        Images(images, size, v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)),
    )
    loader = DataLoader(data, BATCH, num_workers=jobs, pin_memory=device.startswith("cuda"))
    for _ in range(WARM):
        net(torch.zeros(BATCH, 3, size, size, device=device))
    yield
    rows = torch.cat([net(batch.to(device, non_blocking=True)).cpu() for batch in loader])
    yield rows.numpy()[:FIRST]


@torch.inference_mode()
def forward(folder, n, size, device, layout):
    """Nothing but forward passes of the traced, frozen network."""
    layout = getattr(torch, layout)
    batch = torch.rand(BATCH, 3, size, size, device=device).to(memory_format=layout)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jit is deprecated and still the faster one
        net = torch.jit.freeze(torch.jit.trace(features_of("resnet18", device).to(memory_format=layout), batch))
    _pass(net, batch, WARM * BATCH)
    yield
    _pass(net, batch, n)
    yield


def _pass(net, batch, n):
    """Pass so many images, the last time a part of the batch; the device has then done them."""
    for k in range(0, n, len(batch)):
        net(batch[: n - k])
    if batch.is_cuda:
        torch.cuda.synchronize()
