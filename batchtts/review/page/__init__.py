"""The parts of the page that `batchtts report` makes."""
