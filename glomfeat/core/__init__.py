"""What every room stands on: arms and trials, seeds, plug-ins, the cache, memory, progress, worker processes, clusters.

It knows nothing of images or labels, and no files but the cache's own.
"""
