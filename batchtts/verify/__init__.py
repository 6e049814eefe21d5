"""Listening to what was spoken, and a verdict on every row."""
