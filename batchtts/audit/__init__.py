"""Is what lies in an output directory what its ledger says? And if not, what can be mended."""
