"""What everything agrees on: errors, labels, types, the one front end, and the model file."""
