"""The networks as data: lists of layers, as timm writes VGG; nothing here needs torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """A network from pixels to logits, written as a list.

    Attributes
    ----------
    name : str
    side : int
        Side of the square of pixels that it reads by default.
    layers : tuple of str
        From the pixels on: ``C16`` 3 x 3 convolution (same padding) of 16 filters with ReLU; ``CBR16`` the
        same without bias, batch normalisation before the ReLU; ``CBR16s2`` with stride 2; ``BN`` batch
        normalisation; ``MP`` 2 x 2 max pooling; ``GAP`` mean over the picture; ``F`` flatten; ``D64`` dense
        with ReLU; ``DO0.2`` dropout; ``out`` the logits, one for two classes.
    init : {"glorot_uniform", "he_normal"}
        How kernels start, as Keras defines it; biases start at zero.
    l2 : float
        ``l2 * sum(w ** 2)`` is added to the loss, as Keras counts it.
    l2_on : {"", "convolution kernels", "kernels and biases"}
        Over which parameters that sum runs; batch normalisation is never among them.

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
