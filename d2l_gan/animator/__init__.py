"""What one sees of a training: plots that grow, and pictures that stay."""

from d2l_gan.animator.pictures import draw_field, film, save_images, tile
from d2l_gan.animator.plot import Animator

__all__ = ['Animator', 'draw_field', 'film', 'save_images', 'tile']
