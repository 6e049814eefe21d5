"""From a book to a manifest: what is read, how it is divided, what is left out and told."""
