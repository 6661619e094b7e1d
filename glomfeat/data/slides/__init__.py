"""Crops of annotated objects from whole-slide images."""
