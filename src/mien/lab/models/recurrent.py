"""What reads a sequence of faces: the frames' features in, one answer out."""

from __future__ import annotations

from torch import Tensor, nn

STATE = 128  # length of what is remembered of the frames before


class SequenceNet(nn.Module):
    """A recurrent layer over the features of the frames, and a linear layer on its last state.

    CNN-RNN as in Ebrahimi Kahou et al. 2015, https://doi.org/10.1145/2818346.2830596: a net that was trained on single
    faces (:meth:`~mien.lab.models.FaceNet.features`) sees each frame, this one sees their order. Differs from the paper
    in the recurrent layer, gated units (Cho et al. 2014, https://doi.org/10.3115/v1/D14-1179) instead of rectified
    linear ones that start as the identity.

    Parameters
    ----------
    features : int
        Features of a frame.
    outputs : int
        Classes.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.recurrent = nn.GRU(features, STATE, batch_first=True)
        self.head = nn.Linear(STATE, outputs)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the logits of sequences.

        Parameters
        ----------
        frames : (N, T, features) Tensor of float32
            The features of the frames in their order; all sequences of a batch have the same number of them.

        Returns
        -------
        (N, outputs) Tensor
        """
        _, last = self.recurrent(frames)  # (1, N, STATE)
        logits: Tensor = self.head(last[0])
        return logits
