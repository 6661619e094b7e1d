"""What is known about a builder of networks, besides that it can be called."""


class Builder:
    """Defaults of a builder, which also hold for a plain function.

    Attributes
    ----------
    plain : dict or None
        Plain data from which a bundle builds the network again.
    needs_no_file : bool
        Whether shapes can be found without the file of the parameters.
    copies : int
        How many copies of the parameters are in memory while they are read.
    pictures : bool
        Whether the last layer's output is a picture, and not a list of tokens.
    """

    plain = None
    needs_no_file = False
    copies = 2
    pictures = True


OF_A_FUNCTION = Builder()
