"""What a network must do."""

import time

import numpy as np

from glomfeat.checks.parts.findings import brief, describe, note, wrong
from glomfeat.checks.parts.parts import takes
from glomfeat.models.nets import find_architecture

SIDE, STUDY_SIDE = 64, 224


def toy(n, side):
    """Dark images of class 0 and bright ones of class 1."""
    y = np.arange(n) % 2
    noise = np.random.default_rng(0).integers(0, 100, (n, side, side, 3))
    return (noise + 150 * y[:, None, None, None]).astype(np.uint8), y


def _made(part, classes=2, side=SIDE, seed=0):
    from glomfeat.models.nets.probing import make_module

    return make_module(part.make, part.name, classes, side, seed)


def _side(part):
    """The side at which to test a network: a small one if it can read that."""
    from glomfeat.models.nets.probing import logits

    try:
        logits(_made(part), toy(2, SIDE)[0])
        return SIDE
    except Exception:
        return STUDY_SIDE


def _is_a_network(part):
    from glomfeat.models.nets.probing import is_module

    if part.make is None:
        return []
    if not takes(part.make, classes=2):
        return [wrong("it cannot be called with classes=2: write it as def NAME(classes) or def NAME(classes, side)")]
    made = _made(part, side=STUDY_SIDE)
    return [] if is_module(made) else [wrong(f"it returns {describe(made)}: return a torch.nn.Module")]


def _new_each_time(part):
    from glomfeat.models.nets.network import shared_tensors
    from glomfeat.models.nets.probing import same_start

    side = _side(part)
    one, other = _made(part, side=side), _made(part, side=side)
    if one is other:
        return [wrong("two calls return the same object: make a new one in the function")]
    shared = shared_tensors(one, other)
    if shared:
        said = f"two calls share {_listed(shared)}, which each training copies"
        return [wrong(f"{said}: make all layers in the function")]
    if not same_start(one, other):
        return [wrong("two calls under one seed begin with other weights: draw them by torch alone")]
    return []


def _reads_sizes(part):
    from glomfeat.models.nets.probing import logits

    architecture = None if part.make is not None else find_architecture(part.name)
    side = architecture.side if architecture else STUDY_SIDE
    try:
        logits(_made(part, side=side), toy(2, side)[0])
    except Exception as error:
        return [wrong(f"it does not read images of {side} px, the default --size: {brief(error)}")]
    if _side(part) != SIDE:
        return [note(f"it reads {side} px and not {SIDE}: take the argument side, or pool over the whole map")]
    return []


def _gives_logits(part):
    from glomfeat.models.nets.probing import logits

    side = _side(part)
    images = toy(4, side)[0]
    for classes in (2, 3):
        try:
            found = logits(_made(part, classes, side), images)
        except Exception as error:
            return [wrong(f"with {classes} classes it raises {brief(error)}")]
        if not isinstance(found, np.ndarray):
            return [wrong(f"it gives {describe(found)}: return one tensor of logits")]
        if found.shape != (4, classes) and not (classes == 2 and found.shape == (4, 1)):
            allowed = "(4, 2) or (4, 1)" if classes == 2 else f"(4, {classes})"
            return [wrong(f"for 4 images and {classes} classes it gives shape {found.shape}: return {allowed}")]
        if found.dtype != np.float32 or not np.isfinite(found).all():
            return [wrong(f"its logits are {found.dtype}, or not finite: return finite float32")]
        large = logits(_made(part, classes, side), images, scale=50.0)
        in_range = all(((part >= 0) & (part <= 1)).all() for part in (found, large))
        if in_range and (found.shape[1] == 1 or np.allclose(large.sum(axis=1), 1, atol=1e-4)):
            return [wrong("it seems to end in a softmax or sigmoid: return logits, the loss takes them")]
    return []


def _each_image_alone(part):
    from glomfeat.models.nets.probing import logits

    side = _side(part)
    images, module = toy(6, side)[0], _made(part, side=side)
    together, alone = logits(module, images), [logits(module, images[k : k + 1]) for k in range(6)]
    if not np.array_equal(logits(module, images), together):
        return [wrong("in evaluation mode it gives other logits when asked twice: drop out in training only")]
    if not np.allclose(np.concatenate(alone), together, rtol=1e-3, atol=1e-4):
        return [wrong("in evaluation mode an image's logits depend on the images beside it: see to eval()")]
    return []


def _learns(part):
    from glomfeat.models.nets.probing import train_steps

    side = _side(part)
    losses, silent, fixed = train_steps(_made(part, side=side), *toy(16, side))
    if not losses:
        return [wrong("it has no parameter that learns: check requires_grad, or register layers as attributes")]
    said = [wrong(f"no gradient reaches {_listed(silent)}: use them in forward, or take them out")] if silent else []
    if not min(losses[-5:]) < losses[0]:
        said.append(
            wrong(f"its loss does not fall in {len(losses)} steps: {losses[0]:.3g} before, {losses[-1]:.3g} after")
        )
    if fixed and not said:
        said.append(note(f"{_listed(fixed)} stay as they are"))
    return said


def _keeps_its_state(part):
    from glomfeat.models.nets.probing import logits, take_over, train_steps

    side = _side(part)
    images, y = toy(8, side)
    learnt, fresh = _made(part, side=side), _made(part, side=side, seed=1)
    train_steps(learnt, images, y)
    take_over(fresh, learnt)
    if not np.allclose(logits(fresh, images), logits(learnt, images), rtol=1e-4, atol=1e-5):
        return [wrong("its state_dict does not hold all that it learns: keep it in parameters and buffers")]
    return []


def _cost(part):
    from glomfeat.models.nets.probing import count_parameters, logits

    side = _side(part)
    images, module = toy(8, side)[0], _made(part, side=side)
    logits(module, images)
    start = time.perf_counter()
    logits(module, images)
    took = 1000 * (time.perf_counter() - start) / 8
    return [note(f"{count_parameters(module):,} parameters; {took:.2g} ms an image of {side} px on this processor")]


def _listed(names):
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


BASIC = (
    ("returns a network", _is_a_network),
    ("makes a new one each time, from torch's seed", _new_each_time),
    ("reads images of the study's --size", _reads_sizes),
    ("gives logits of two classes and of three", _gives_logits),
    ("scores each image by itself in evaluation mode", _each_image_alone),
)
OTHERS = (
    ("learns, in all of its parameters", _learns),
    ("keeps what it learns in its state", _keeps_its_state),
    ("size and time", _cost),
)
