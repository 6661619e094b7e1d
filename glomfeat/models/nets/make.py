"""From the name of a network to an untrained classifier."""

from dataclasses import replace

import torch

from glomfeat.features.deep.device import find_device
from glomfeat.models.nets import check_net, net_side, recipe_for
from glomfeat.models.nets.training import NetClassifier


def make_net(
    name,
    *,
    seed=0,
    side=None,
    classes=2,
    weights="imagenet",
    device="auto",
    preset="default",
    recipe=None,
    callbacks=None,
    init=None,
    new_head=False,
    plain=None,
    **overrides,
):
    """Make an untrained network that is a scikit-learn classifier of pixels.

    Parameters
    ----------
    name : str
        As `glomfeat.models.nets.network.Network` reads it.
    seed : int
        The same seed, machine and number of threads give the same scores.
    side : int, optional
        Side of the images in pixels; by default `glomfeat.models.nets.net_side`.
    classes : int
    weights : str
        For pretrained models, as for features: auto, imagenet, none or a path. Read when `fit` is called.
    device : str
        Auto takes a GPU if there is one.
    preset : {"default", "paper"}
        As `glomfeat.models.nets.recipe_for`.
    recipe : Recipe, optional
        A recipe to use instead of the network's own.
    callbacks : list of skorch.callbacks.Callback, optional
        For example, to show progress.
    init : str or Path, optional
        The state of a network trained before, from which training starts instead of from `weights`; see
        `glomfeat.models.nets.state.start_from`.
    new_head : bool
        Whether that network learnt other classes, so that the last layer starts anew.
    plain : dict, optional
        What a bundle stores about a timm network, so that it is built without looking up its name.
    **overrides
        Fields of the recipe to replace.

    Returns
    -------
    NetClassifier

    Raises
    ------
    PluginError
        No network has this name.
    InputError
        A setting is not allowed, or the device does not compute in the precision, or cannot have the network compiled.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.random.default_rng(0).integers(0, 99, (16, 16, 16, 3), np.uint8)
    >>> y = np.arange(16) % 2
    >>> pixels[y == 1] += 150
    >>> net = make_net("compact", side=16, epochs=4, batch=4, device="cpu")
    >>> net.fit(pixels, y, train=np.arange(12), valid=np.arange(12, 16)).predict_proba(pixels).shape
    (16, 2)
    >>> sorted(net.curves_[0])
    ['epoch', 'epoch_s', 'inner_valid_auroc', 'inner_valid_loss', 'learns', 'train_loss']
    """
    name = name if plain else check_net(name)
    recipe = replace(recipe, **overrides) if recipe else recipe_for(name, preset, **overrides)
    return NetClassifier(
        module__name=name,
        module__side=side or net_side(name),
        module__classes=classes,
        module__augment=recipe.augmentation,
        module__precision=recipe.precision,
        module__drop_path=recipe.drop_path,
        module__mixup=recipe.mixup,
        module__plain=plain,
        criterion__smoothing=recipe.label_smoothing,
        optimizer=torch.optim.AdamW if recipe.decoupled else torch.optim.Adam,
        optimizer__weight_decay=recipe.weight_decay,
        optimizer__fused=True,
        lr=recipe.lr,
        batch_size=recipe.batch,
        max_epochs=recipe.epochs,
        classes=list(range(classes)),
        callbacks=callbacks,
        device=str(find_device(device, recipe.precision, recipe.compile)),
        seed=seed,
        weights=weights,
        again=recipe.again,
        schedule=recipe.schedule,
        average=recipe.average,
        decoupled=recipe.decoupled,
        converge=recipe.converge,
        class_weight=recipe.class_weight,
        layer_decay=recipe.layer_decay,
        head_epochs=recipe.head_epochs,
        lora_rank=recipe.lora_rank,
        lora_layers=recipe.lora_layers,
        steps_compiled=recipe.compile,
        init=init,
        new_head=new_head,
    )
