"""Where a network looks: HiResCAM for trained networks, and for backbones whose features a linear head reads."""

import base64
import copy
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import LayerGradientXActivation
from scipy.stats import rankdata
from torch import fx, nn

from glomfeat.core.errors import UserError
from glomfeat.features.deep.normalised import unpacked

MOST_PX = 32  # largest side of a map: a finer map is averaged down, since an overlay on a thumbnail needs no more
AT_ONCE = 8
TOKENS = "the network keeps tokens and no picture: there is nothing to draw over the image"


class InsideError(UserError, ValueError):
    """The network has no layer that maps could be made of."""


@dataclass(frozen=True)
class Maps:
    """Where a network found evidence for its calls.

    Attributes
    ----------
    maps : ndarray of uint8, shape (n, height, width)
        0 is no evidence, 255 the strongest in the image.
    likeness : float
        Mean rank correlation of the maps with those of the same network with random weights. A method whose maps
        stay the same when everything learnt is thrown away shows edges of the image and not reasons (Adebayo et al.
        2018, Sanity checks for saliency maps), so a map with a likeness near 1 is worth nothing.
    """

    maps: np.ndarray
    likeness: float

    def plain(self):
        """Write this as plain data for the journal; `glomfeat.results.maps.read_maps` reads the maps back."""
        text = base64.b64encode(self.maps.tobytes()).decode()
        return {"shape": list(self.maps.shape), "maps": text, "likeness": round(self.likeness, 4)}


def inside_net(net, pixels, calls):
    """Make maps of where a trained network found evidence for its calls.

    Parameters
    ----------
    net : NetClassifier
        A fitted network.
    pixels : ndarray of uint8, shape (n, side, side, 3)
    calls : ndarray of int, shape (n,)
        1 where the positive class was called, else 0.

    Returns
    -------
    Maps

    Raises
    ------
    InsideError
        No layer of the network gives a picture of more than one pixel, or its last layers give tokens.

    Examples
    --------
    >>> from glomfeat.models.nets import make_net
    >>> pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
    >>> net = make_net("C4-MP-F-out", side=16, epochs=1, device="cpu").fit(pixels, np.arange(8) % 2)
    >>> inside_net(net, pixels[:2], np.array([0, 1])).maps.shape
    (2, 8, 8)
    """
    module = net.module_.eval()
    if module.has_backbone and not module.net.pictures:
        raise InsideError(TOKENS)

    def prepare(block):
        return module._prepare(torch.from_numpy(block).to(net.device))

    return _maps(module.net, prepare, _log_odds, pixels, calls)


def inside_feature(feature, direction, pixels, calls):
    """Make maps of where a backbone found evidence for the calls of a linear head that reads its embedding.

    Parameters
    ----------
    feature : glomfeat.features.deep.network.Deep
    direction : ndarray of float, shape (width,)
        The direction of the embedding in which the head's decision value grows; see
        `glomfeat.comparison.explain.saliency.direction_of`.
    pixels, calls
        As `inside_net`.

    Returns
    -------
    Maps

    Raises
    ------
    InsideError
        As `inside_net`.
    """
    found = feature.weights_found
    if not feature.builder.pictures:
        raise InsideError(TOKENS)
    backbone = feature.build(feature.model, found, feature.layer).eval()
    mean, std = (torch.tensor(part).reshape(1, 3, 1, 1) for part in (found.mean, found.std))
    read = torch.from_numpy(np.asarray(direction, np.float32))

    def prepare(block):
        return (torch.from_numpy(block).permute(0, 3, 1, 2).float() / 255 - mean) / std

    return _maps(backbone, prepare, lambda found: unpacked(found).flatten(1) @ read, pixels, calls)


def _log_odds(logits):
    if logits.shape[1] == 1:
        return logits[:, 0]
    return logits[:, -1] - logits[:, :-1].logsumexp(dim=1)


def _maps(module, prepare, score, pixels, calls):
    """Calculate HiResCAM at the last layer that gives a picture, and its likeness to the maps of random weights."""
    trained, random = copy.deepcopy(module), _randomised(module)
    heat, noise = (_hires_cam(part, prepare, score, pixels, calls) for part in (trained, random))
    likeness = [_rank_correlation(a, b) for a, b in zip(heat, noise, strict=True)]
    top = heat.max(axis=(1, 2), keepdims=True)
    scaled = np.divide(heat, top, out=np.zeros_like(heat), where=top > 0)
    return Maps(np.round(255 * scaled).astype(np.uint8), float(np.mean(likeness)))


def _hires_cam(module, prepare, score, pixels, calls):
    """Calculate activation times gradient, summed over channels (Draelos & Carin 2020, HiResCAM).

    Only what speaks for the call is kept. If all that follows the layer is linear, the sum is exactly what each
    position adds to the decision value; Grad-CAM's mean gradient per channel is not.
    """
    for part in module.modules():
        if isinstance(getattr(part, "inplace", None), bool):
            part.inplace = False  # an operation in place would change the activation after it was recorded
    _add_layers(module.requires_grad_(False).eval())

    def scored(images):
        return score(module(images))

    layer, found = _last_picture(module, scored, prepare(pixels[:1])), []
    towards = torch.from_numpy(np.where(calls, 1, -1))[:, None, None]
    method = LayerGradientXActivation(scored, layer)
    for start in range(0, len(pixels), AT_ONCE):
        at = slice(start, start + AT_ONCE)
        products = method.attribute(prepare(pixels[at]).requires_grad_()).sum(dim=1)
        heat = (products.detach() * towards[at].to(products.device)).clamp(min=0)
        size = [min(MOST_PX, length) for length in heat.shape[1:]]
        found.append(nn.functional.adaptive_avg_pool2d(heat[:, None], size)[:, 0].cpu().numpy())
    return np.concatenate(found)


def _add_layers(module):
    """Add a layer after each function of a traced network, since only what a layer returns can be seen."""
    for part in [part for part in module.modules() if isinstance(part, fx.GraphModule)]:
        for node in [node for node in part.graph.nodes if node.op in ("call_function", "call_method")]:
            part.add_submodule(name := f"after_{node.name}", nn.Identity())
            with part.graph.inserting_after(node):
                after = part.graph.call_module(name, (node,))
            node.replace_all_uses_with(after, lambda user, after=after: user is not after)
        part.recompile()


def _last_picture(module, scored, images):
    """Find the last layer that returns a picture of more than one pixel, without tokens or a way around it."""
    kept, calls = {}, Counter()

    def note(layer, _, output):
        shape = output.shape if isinstance(output, torch.Tensor) else ()
        calls[layer] += 1
        kept.pop(layer, None)
        if len(shape) == 4 and shape[2] == shape[3] > 1:  # images are square, and rows times channels are not
            kept[layer] = True
        elif len(shape) == 3 and min(shape[1:]) > 1:
            kept.clear()

    hooks = [layer.register_forward_hook(note) for layer in module.modules()]
    with torch.no_grad():
        scored(images)
    for hook in hooks:
        hook.remove()
    for layer in reversed(kept):  # the last one may be a branch, if small images become a pixel behind it
        if not _is_bypassed(layer, calls[layer], scored, images):
            return layer
    lacks = "the image also passes beside every layer that keeps a picture" if kept else "no layer keeps a picture"
    raise InsideError(f"{lacks}: there is nothing to draw over the image")


def _is_bypassed(layer, calls, scored, images):
    """Whether a score still depends on the image if what a layer returns at its last call is held fixed."""
    later = iter(range(calls - 1, -1, -1))
    hook = layer.register_forward_hook(lambda layer, _, output: None if next(later) else output.detach())
    depends = scored(images.detach().requires_grad_()).requires_grad
    hook.remove()
    return depends


def _randomised(module):
    """Copy a module with newly drawn weights, which have the mean and spread of those that they replace."""
    module = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            drawn = torch.randn(weight.shape, generator=generator).to(weight.device)
            weight.copy_(weight.mean() + (drawn * weight.std() if weight.numel() > 1 else drawn))
    return module


def _rank_correlation(a, b):
    """Spearman's rank correlation of two maps; 0 if one of them is flat."""
    a, b = (rankdata(part) - (part.size + 1) / 2 for part in (a.ravel(), b.ravel()))
    length = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / length) if length else 0.0
