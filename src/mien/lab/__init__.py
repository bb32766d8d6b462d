"""How the models are made: data, training, evaluation, figures, export."""
