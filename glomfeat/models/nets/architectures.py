"""The networks as data: lists of layers, as timm writes VGG; nothing here needs torch."""

import re
from dataclasses import dataclass

from glomfeat.core.plugins import Own, PluginError, did_you_mean
from glomfeat.models.nets.modes import one_view


@dataclass(frozen=True)
class Architecture:
    """A network from pixels to logits, written as a list.

    Attributes
    ----------
    name : str
    side : int
        Side in pixels of the square images that it reads by default.
    layers : tuple of str
        In order, starting at the pixels: ``C16`` 3 x 3 convolution (same padding) of 16 filters with ReLU; ``CBR16``
        the same without bias, with batch normalisation before the ReLU; ``CBR16s2`` the same with stride 2; ``BN``
        batch normalisation; ``MP`` 2 x 2 max pooling; ``GAP`` mean over height and width; ``F`` flatten; ``D64`` dense
        with ReLU; ``DO0.2`` dropout; ``out`` the logits, a single one for two classes.
    init : {"glorot_uniform", "he_normal"}
        How kernels are initialised, as Keras defines it; biases start at zero.
    l2 : float
        ``l2 * sum(w ** 2)`` is added to the loss, as Keras counts it.
    l2_on : {"", "convolution kernels", "kernels and biases"}
        The parameters that the sum runs over; batch normalisation is never among them.

    Examples
    --------
    >>> ARCHITECTURES["baseline-9"].layers[:4]
    ('C16', 'BN', 'MP', 'C32')
    """

    name: str
    side: int
    layers: tuple
    init: str = "glorot_uniform"
    l2: float = 0.0
    l2_on: str = ""


_BASELINES = (
    "F out",
    "F D512 out",
    "F D64 out",
    "F D512 D512 out",
    "C16 F D512 D512 out",
    "C16 F D512 D512 D64 out",
    "C16 C32 F D512 D512 D64 out",
    "C16 BN C32 BN F D512 BN D512 BN D64 BN out",
    "C16 BN MP C32 BN MP F D512 BN D512 BN D64 BN out",
    "C16 BN C32 BN F D512 BN DO0.2 D512 BN DO0.2 D64 BN DO0.2 out",
    "C16 BN C32 BN F D512 BN DO0.2 D64 BN DO0.2 out",
    "C16 BN MP C32 BN MP F D512 BN DO0.2 D64 BN DO0.2 out",
)
_HOMEMADE = "C16 BN C32 BN C64 BN F DO0.3 D64 BN DO0.3 D32 BN DO0.3 out"
_COMPACT = "CBR24s2 CBR32s2 CBR32 CBR64s2 CBR64 CBR128s2 CBR128 GAP DO0.2 out"

ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture("compact", 128, tuple(_COMPACT.split()), "he_normal"),
        Architecture("homemade-128", 128, tuple(_HOMEMADE.split()), "he_normal", 1e-4, "kernels and biases"),
        Architecture("homemade-224", 224, tuple(_HOMEMADE.split()), "he_normal", 1e-4, "kernels and biases"),
        *(
            Architecture(f"baseline-{i}", 128, tuple(text.split()), l2=1e-4, l2_on="convolution kernels")
            for i, text in enumerate(_BASELINES, start=1)
        ),
    )
}

LAYERS = {
    "C16": r"C[1-9]\d*",
    "CBR16": r"CBR[1-9]\d*",
    "CBR16s2": r"CBR[1-9]\d*s[1-9]",
    "BN": r"BN",
    "MP": r"MP",
    "F": r"F",
    "GAP": r"GAP",
    "D64": r"D[1-9]\d*",
    "DO0.2": r"DO0?\.\d+",
    "out": r"out",
}
OF_PICTURES = ("C16", "CBR16", "CBR16s2", "BN", "MP", "DO0.2")
OF_ROWS = ("D64", "BN", "DO0.2")


def parse_layers(text):
    """Read a network that is written as its layers, with dashes or commas between them.

    Parameters
    ----------
    text : str
        Layers as `Architecture` describes them: first the convolutional part, then ``F`` or ``GAP``, then the dense
        part, and ``out`` last.

    Returns
    -------
    tuple of str

    Raises
    ------
    PluginError
        A layer is unknown or is in the wrong place.

    Examples
    --------
    >>> parse_layers("C16-BN-MP-F-D64-out")
    ('C16', 'BN', 'MP', 'F', 'D64', 'out')
    >>> parse_layers("C16-F-E64-out")
    Traceback (most recent call last):
    ...
    glomfeat.core.plugins.PluginError: net 'C16-F-E64-out': no layer is called 'E64': did you mean 'D64'? known: ...
    """
    layers, kinds = tuple(re.split("[-,]", text)), []
    for layer in layers:
        kind = next((kind for kind, pattern in LAYERS.items() if re.fullmatch(pattern, layer)), None)
        if kind is None:
            raise PluginError(f"net {text!r}: no layer is called {layer!r}: {did_you_mean(layer, LAYERS)}")
        kinds.append(kind)
    flat = next((k for k, kind in enumerate(kinds) if kind in ("F", "GAP")), None)
    ends = kinds[-1] == "out"
    wrong = [] if flat is None else [k for k, kind in enumerate(kinds[:flat]) if kind not in OF_PICTURES]
    wrong += [] if flat is None else [k for k in range(flat + 1, len(kinds) - ends) if kinds[k] not in OF_ROWS]
    if wrong or flat is None or not ends:
        missing = f"{'F or GAP' if flat is None else 'out'} is missing"
        where = f"{layers[wrong[0]]!r} is in the wrong place" if wrong else missing
        raise PluginError(
            f"net {text!r}: {where}; first layers of pictures ({', '.join(OF_PICTURES)}), then F or GAP, "
            f"then layers of rows ({', '.join(OF_ROWS)}), then out, such as C16-BN-MP-F-D64-out"
        )
    return layers


def find_architecture(name):
    """Find the architecture that a network's name stands for: a known one, or one that is written as its layers.

    Parameters
    ----------
    name : str
        A key of `ARCHITECTURES`, or layers that end in ``out``. Layers make a network of side 128 with the
        initialisation and the penalty of the baselines.

    Returns
    -------
    Architecture or None
        None if the name stands for another kind of network.

    Raises
    ------
    PluginError
        As `parse_layers`.

    Examples
    --------
    >>> find_architecture("F-D64-out").layers == find_architecture("baseline-3").layers
    True
    >>> find_architecture("resnet18:frozen") is None
    True
    """
    if isinstance(name, Own):
        return name.brings if isinstance(name.brings, Architecture) else None
    name = one_view(name)
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if ":" in name or not re.search("[-,]out$", name):
        return None
    like = ARCHITECTURES["baseline-1"]
    return Architecture(name, like.side, parse_layers(name), like.init, like.l2, like.l2_on)
