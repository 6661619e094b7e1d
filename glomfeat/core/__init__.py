"""What every room stands on: arms and trials, seeds, plug-ins, the cache, memory, progress, worker processes, clusters.

Knows no image, no label and no file of anybody's but the cache's own.
"""
