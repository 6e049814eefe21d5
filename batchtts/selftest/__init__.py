"""What batchtts promises, proved on the machine that it runs on."""
