"""Finished audio in other shapes, made of an output directory at no cost."""
