"""How long a training would take on this machine, measured on a step or two before it starts."""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from glomfeat.core.errors import InputError
from glomfeat.data.splits import INNER_FOLDS
from glomfeat.features.deep.footprint import on_meta
from glomfeat.models.heads.built_in import head_bytes
from glomfeat.models.nets import is_own_net
from glomfeat.models.nets.build import check_batch
from glomfeat.models.nets.last_layer import HEAD, last_layer_head
from glomfeat.models.nets.make import make_net
from glomfeat.models.nets.modes import FROZEN, LAST
from glomfeat.models.nets.network import Network
from glomfeat.models.nets.repeating import reproducible
from glomfeat.models.nets.timing import MOST, cost_of_repeating, random_batch, seconds
from glomfeat.models.nets.training import KEPT_FEATURES_BYTES

PROBE_IMAGES, PROBE_ROWS = 8, 200


@dataclass(frozen=True)
class Cost:
    """What one training would cost.

    Attributes
    ----------
    once_s : float
        Seconds in addition to the epochs: for the outputs of a frozen backbone, for its last layer if that is fitted to
        convergence, and until torch has compiled steps if it does so for each training.
    epoch_s : float
        Seconds of an epoch, inner-valid rows included.
    epochs : int
    head_epochs : int
        Epochs in which the last layer alone learns; they are counted like any other.
    again_s : float
        Seconds of the epochs over all rows.
    compile_s : float
        Seconds until torch has compiled steps, if it does so only once in each process.
    predict_ms : float
        Milliseconds to score an image.
    parameters_bytes : int
        Parameters, their gradients, the two moments of Adam and the average, in float32.
    """

    once_s: float
    epoch_s: float
    epochs: int
    head_epochs: int
    again_s: float
    compile_s: float
    predict_ms: float
    parameters_bytes: int

    @property
    def total_s(self):
        return self.fit_s(self.epochs) + self.again_s

    def fit_s(self, epochs):
        """Seconds of a training of this many epochs that ends when the inner-valid rows have been scored."""
        return self.once_s + (epochs + self.head_epochs) * self.epoch_s


def training_cost(name, n, n_valid=0, **settings):
    """Measure a few steps on random pixels and estimate what a training would cost.

    Parameters
    ----------
    name : str
    n, n_valid : int
        Numbers of training and inner-valid images.
    **settings
        As for `glomfeat.models.nets.make_net`; weights are left random.

    Returns
    -------
    Cost
        Measured in this process with its number of threads, so call it in the way in which the training would run.

    Examples
    --------
    >>> cost = training_cost("compact", 300, side=16, epochs=10, device="cpu")
    >>> 0 < cost.epoch_s < cost.total_s
    True
    """
    net = make_net(name, **settings)
    with reproducible(net.device, exact=cost_of_repeating(net) <= MOST):
        net.initialize()
        net.adapt()
        module, compiled = net.module_, net.steps_compiled
        k = net.batch_size if compiled else min(PROBE_IMAGES, net.batch_size)  # only whole batches are compiled
        batch = random_batch(net, k)
        image_s = step_s = compile_s = 0.0
        forward_s = _warm_seconds(net, lambda: net.evaluation_step(batch)) / k
        if not (module.frozen and not module.augment):
            with module.compiled(k) if compiled else nullcontext():
                first_s = seconds(net, lambda: net.train_step(batch))
                step_s = _warm_seconds(net, net.optimizer_.step)
                whole_s = _warm_seconds(net, lambda: net.train_step(batch))
            image_s = max(whole_s - step_s, 0.0) / k
            compile_s = max(first_s - whole_s, 0.0) if compiled else 0.0
    kept = sum(p.numel() * p.element_size() for p in module.parameters())
    again = math.ceil(net.again * net.max_epochs) if n_valid else 0
    once_s = 0.0 if image_s else (n + n_valid) * forward_s
    return Cost(
        once_s=once_s + compile_s * module.compiles_anew + (_last_layer_s(net, n + n_valid) if net.converge else 0.0),
        epoch_s=_pass_s(net, n, image_s, step_s) + (n_valid * forward_s if image_s else 0.0),
        epochs=0 if net.converge else net.max_epochs,
        head_epochs=_head_epochs(net),
        again_s=again * _pass_s(net, n + n_valid, image_s, step_s),
        compile_s=compile_s * (not module.compiles_anew),
        predict_ms=1000 * forward_s,
        parameters_bytes=kept + _copies(net) * net.n_trainable_ * 4,
    )


def _pass_s(net, n, image_s, step_s):
    return n * image_s + -(-n // net.batch_size) * step_s


def _head_epochs(net):
    """Epochs in which the last layer alone learns; they take no longer than others."""
    return net.head_epochs if net.module_.has_backbone and not net.module_.frozen else 0


def _copies(net):
    """How many copies there are of what learns: gradients, two moments and perhaps the average; or none of them."""
    return 0 if net.converge else 3 + bool(net.average)


def _last_layer_s(net, n):
    """Estimate the seconds of all fits of a last layer roughly, from one fit on random numbers."""
    head, rows = last_layer_head(net.class_weight, 0), min(n, PROBE_ROWS)
    X = np.random.default_rng(0).normal(size=(rows, net.module_.net.head.in_features)).astype(np.float32)
    fits = math.prod(map(len, head.grid.values())) * (INNER_FOLDS - 1) + 1
    return fits * n / rows * _warm_seconds(net, lambda: head.estimator.fit(X, np.arange(rows) % len(net.classes_)))


def training_bytes(name, n=0, **settings):
    """Estimate the most memory that a training takes, on the meta device, where the network takes none.

    Counted are parameters, gradients, moments and the average, the sums of weights and adapters, and the outputs of
    all layers for one step, twice for layers that gradients flow back through. If a last layer is fitted to
    convergence, its inputs and what its head needs are counted, too.

    A network of the user's own reads one image on the processor, because what its module makes while it is imported
    would stay on the meta device. Its parameters count once more, because it is made twice or copied.

    Parameters
    ----------
    name : str
    n : int
        Number of images; the outputs of a frozen backbone are held for all of them at once.
    **settings
        As for `glomfeat.models.nets.make_net`.

    Returns
    -------
    int
        Bytes, in addition to what an idle process with torch holds.

    Raises
    ------
    InputError
        The images are too small for the network, or no layer fits the pattern of the adapters.

    Examples
    --------
    >>> 4e9 < training_bytes("homemade-128") < 7e9
    True
    """
    net = make_net(name, **settings)
    side, outputs = net.module__side, []
    own = is_own_net(name)
    with torch.random.fork_rng(devices=[]):
        made = partial(Network, name, side, net.module__classes, drop_path=net.module__drop_path)
        module = made() if own else on_meta(made)
    check_batch(module, net.batch_size, name)
    module.eval()
    with torch.device("cpu" if own else "meta"):
        module.adapt(net.lora_rank, net.lora_layers)
        once = _without_gradients(module)
        for name, layer in module.net.named_modules():
            if "parametrizations" not in name and (not list(layer.children()) or hasattr(layer, "parametrizations")):
                times = 1 if layer in once else 2
                layer.register_forward_hook(lambda _, __, found, n=times: outputs.append(n * _numbers(found)))
        try:
            with torch.no_grad():
                module.net(torch.zeros(1, 3, side, side))
        except RuntimeError as error:
            raise InputError(
                f"net {net.module__name} does not take images of {side} px, pass another --size: {error}"
            ) from error
    parameters = sum(p.numel() for p in module.parameters()) * (1 + own)
    learned = sum(p.numel() for p in module.parameters() if p.requires_grad)
    activations, summed = sum(outputs) * net.batch_size, sum(map(_adapted, module.modules()))
    need = 4 * (parameters + summed + _copies(net) * learned + activations + 8 * net.batch_size * side * side * 3)
    if net.converge:
        width = module.net.head.in_features
        need += 4 * n * width + head_bytes(HEAD, n, width)
    elif module.frozen and not net.module__augment:
        need += 2 * min(4 * n * module.net.head.in_features, KEPT_FEATURES_BYTES)
    return need


def _without_gradients(module):
    """Find the layers without gradients: all of a frozen backbone, or those before the first block that learns."""
    if not module.has_backbone or module.net.mode.how not in (FROZEN, LAST):
        return set()
    return {layer for part in module.net.resting for layer in part.modules()}


def _adapted(layer):
    """Count the numbers in those weights of a layer that have adapters."""
    return sum(one.original.numel() for one in getattr(layer, "parametrizations", {}).values())


def _numbers(found):
    return found.numel() if isinstance(found, torch.Tensor) else 0


def _warm_seconds(net, what):
    """Measure the seconds of a call, after one call to warm up."""
    seconds(net, what)
    return seconds(net, what)
