"""Features, which describe an image as a row of numbers; they know no label and no fold, and are stored once.

Knows data and the cache. Only `deep` imports torch.
"""
