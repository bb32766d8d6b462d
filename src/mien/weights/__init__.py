"""The nets that ship with mien."""
