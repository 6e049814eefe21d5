"""What batchtts costs, measured beside its peers: ``python -m benchmarks``."""
