"""The product: from frames to expressions, through time, into files."""
