"""Turn a table of scripts into finished speech, and account for every row."""

__version__ = "0.1.0"
