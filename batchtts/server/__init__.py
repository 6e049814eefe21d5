"""A provider of our own, for demonstrations, tests and work without a network."""
