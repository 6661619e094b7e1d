"""What the pages of models on the Hugging Face hub say about their use and their configurations leave out."""

from dataclasses import dataclass

CLASS, MEAN, BOTH = POOLINGS = ("class", "mean", "class+mean")


@dataclass(frozen=True)
class Card:
    """What a model's page asks for and its configuration on the hub leaves out.

    Attributes
    ----------
    args : tuple of (str, value)
        Arguments of the constructor.
    pooling : str or None
        One of `POOLINGS`.
    mean, std : tuple of float or None
        Of the red, green and blue channels, on a scale of 0 to 1.
    """

    args: tuple = ()
    pooling: str | None = None
    mean: tuple | None = None
    std: tuple | None = None


_SWIGLU = (("mlp_layer", "SwiGLUPacked"), ("act_layer", "silu"))
_OPTIMUS = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
# From the section on usage of each model's page on the Hugging Face hub.
CARDS = {
    "mahmoodlab/uni": Card((("init_values", 1e-5), ("dynamic_img_size", True))),
    "mahmoodlab/uni2-h": Card(
        (
            *(("img_size", 224), ("patch_size", 14), ("depth", 24), ("num_heads", 24), ("init_values", 1e-5)),
            *(("embed_dim", 1536), ("mlp_ratio", 2.66667 * 2), ("no_embed_class", True), ("reg_tokens", 8)),
            *(("dynamic_img_size", True), *_SWIGLU),
        )
    ),
    "paige-ai/virchow": Card(_SWIGLU, BOTH),
    "paige-ai/virchow2": Card(_SWIGLU, BOTH),
    "bioptimus/h-optimus-0": Card((("init_values", 1e-5), ("dynamic_img_size", False)), None, *_OPTIMUS),
    "bioptimus/h-optimus-1": Card((("init_values", 1e-5), ("dynamic_img_size", False)), None, *_OPTIMUS),
    "bioptimus/h0-mini": Card(_SWIGLU, CLASS, *_OPTIMUS),
}
