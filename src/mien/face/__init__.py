"""What can be measured on a face."""
