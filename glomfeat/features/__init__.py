"""What describes an image as a row of numbers, knowing no label and no fold; computed once and stored.

Knows data and the cache. torch is imported under `deep` alone.
"""
