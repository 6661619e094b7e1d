"""From the bytes of an image file, of whatever format, to a square of RGB pixels."""
