"""What one sees of a training: plots that grow, and pictures that stay."""

from d2l_gan.animator.pictures import film, save_images, tile
from d2l_gan.animator.plot import Animator

__all__ = ['Animator', 'film', 'save_images', 'tile']
