"""What the folders above images mean, and what they say about images."""
