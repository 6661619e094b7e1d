"""What `studies.bench` measures of torch and torchvision, as a user of theirs would write it."""

import time
import warnings

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.models import resnet18
from torchvision.transforms import v2

from glomfeat.features.deep.device import find_device
from glomfeat.features.deep.weights import random_network
from studies.bench.data import FIRST, image_paths

BATCH = 32
WARM = 4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def describe_device(folder, device, weights):
    """What torch computes on; and seeded random weights of a network, for all sides to read."""
    found = find_device(device)
    name = torch.cuda.get_device_name(found) if found.type == "cuda" else found.type
    torch.save(random_network("resnet18").state_dict(), weights)
    yield
    yield lambda: {"device": str(found), "name": name}


class Square:
    """Pad an image to a centred white square."""

    def __call__(self, image):
        side = max(image.size)
        left, top = (side - image.width) // 2, (side - image.height) // 2
        margins = [left, top, side - image.width - left, side - image.height - top]
        return v2.functional.pad(image, margins, fill=255)


class Images(Dataset):
    """Image files through transforms."""

    def __init__(self, paths, transform):
        self.paths, self.transform = paths, transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, k):
        image = Image.open(self.paths[k]).convert("RGBA")
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image)
        return self.transform(ground)


class Pixels(Dataset):
    """Decoded pixels of a memory map through transforms."""

    def __init__(self, path, transform):
        self.pixels, self.transform = np.load(path, mmap_mode="r"), transform

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, k):
        return self.transform(self.pixels[k].copy())


def _square(size):
    return [Square(), v2.Resize((size, size), v2.InterpolationMode.LANCZOS), v2.PILToTensor()]


def _loader(data, workers, device):
    return DataLoader(data, BATCH, num_workers=workers, pin_memory=device.type == "cuda")


def decode_torchvision(folder, images, size, jobs):
    """Decode and resize with a DataLoader whose workers apply torchvision's transforms."""
    data, kept = Images(image_paths(images), v2.Compose(_square(size))), []
    yield
    for batch in _loader(data, jobs, torch.device("cpu")):
        if len(kept) * BATCH < FIRST:
            kept.append(batch.permute(0, 2, 3, 1).numpy())
    yield lambda: np.concatenate(kept)[:FIRST]


def _network(weights, device):
    net = resnet18(weights=None)
    net.load_state_dict(torch.load(weights, weights_only=True))
    net.fc = torch.nn.Identity()
    return net.eval().to(device)


@torch.inference_mode()
def extract_eager(folder, images, pixels, size, weights, device, jobs):
    """Extract features with a DataLoader and an eager network; from decoded pixels if there are any."""
    device = find_device(device)
    net = _network(weights, device)
    numbers = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    if pixels:
        data, workers = Pixels(pixels, v2.Compose([v2.ToImage(), *numbers])), 0
    else:
        data, workers = Images(image_paths(images), v2.Compose([*_square(size), *numbers])), jobs
    for _ in range(WARM):
        net(torch.zeros(BATCH, 3, size, size, device=device))
    yield
    batches = (batch.to(device, non_blocking=True) for batch in _loader(data, workers, device))
    rows = torch.cat([net(batch).cpu() for batch in batches]).numpy()
    yield lambda: rows[:FIRST]


@torch.inference_mode()
def forward_traced(folder, n, size, weights, device):
    """Nothing but forward passes of the traced, frozen network, in the faster of both memory layouts."""
    device = find_device(device)
    batch = torch.rand(BATCH, 3, size, size, device=device)
    found = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        example = batch.to(memory_format=layout)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jit is deprecated and still the faster one
            net = _network(weights, device).to(memory_format=layout)
            net = torch.jit.freeze(torch.jit.trace(net, example))
            _seconds(net, example, WARM)
            found[_seconds(net, example, WARM)] = net, example
    net, example = found[min(found)]
    yield
    _seconds(net, example, n / BATCH)
    yield


def _seconds(net, batch, times):
    """Seconds of so many forward passes; the last one of a part of the batch."""
    start = time.perf_counter()
    for _ in range(int(times)):
        net(batch)
    if rest := round((times - int(times)) * len(batch)):
        net(batch[:rest])
    if batch.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start
