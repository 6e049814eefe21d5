"""What is spoken."""
