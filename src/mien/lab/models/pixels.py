"""What is done to pixels before a trunk sees them."""

from __future__ import annotations

from torch import Tensor


def unit_range(images: Tensor) -> Tensor:
    """Return pixels of 0 to 255 as 0 to 1."""
    return images / 255.0


def per_image(images: Tensor) -> Tensor:
    """Return pixels with mean 0 and deviation 1 in each image, so that brightness and contrast do not matter."""
    mean = images.mean(dim=(2, 3), keepdim=True)
    centered = images - mean
    # 8 gray levels: a nearly empty picture is not blown up into noise.
    return centered / (centered.square().mean(dim=(2, 3), keepdim=True) + 64.0).sqrt()
