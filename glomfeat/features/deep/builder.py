"""What is known of a thing that builds a network, besides that it can be called."""


class Builder:
    """Defaults of a builder; a plain function has these.

    Attributes
    ----------
    plain : dict or None
        Plain data from which a bundle builds the network again.
    needs_no_file : bool
        Whether shapes can be found without the file of the parameters.
    copies : int
        Of the parameters in memory while they are read.
    pictures : bool
        Whether the last layer keeps a picture.
    """

    plain = None
    needs_no_file = False
    copies = 2
    pictures = True


OF_A_FUNCTION = Builder()
