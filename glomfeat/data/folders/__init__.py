"""What the folders above images mean, and what they tell of images."""
