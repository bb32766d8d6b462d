"""The landmark net: labels by a teacher, training, measuring, export."""
