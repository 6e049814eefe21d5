"""What there is to do."""
