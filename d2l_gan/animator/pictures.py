"""Images in a grid, and plots as frames of a film."""

import io
import math

import numpy
import PIL.Image
from IPython import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from d2l_gan.support.checks import to_numpy
from d2l_gan.support.files import replacing

__all__ = ['film', 'save_images', 'tile']


def film(draw, num_frames, figsize=(5, 3), seconds=0.25):
    """Make a picture that moves, also in a page without any script.

    Args:
        draw: called with an empty Matplotlib figure and the number of the
            frame, from 0.
        num_frames: how many frames there are, at least 1.
        figsize: width and height in inches.
        seconds: how long a frame stays; the last one stays five times as long.

    Returns:
        IPython.display.Image: an animated PNG, which starts over at the end.
    """
    frames = []
    for i in range(num_frames):
        fig = Figure(figsize=figsize, dpi=100)
        FigureCanvasAgg(fig)
        draw(fig, i)
        fig.canvas.draw()
        frames.append(numpy.asarray(fig.canvas.buffer_rgba())[..., :3])
    # Few colours are enough for plots and make a third of the size; one
    # palette has to serve all frames, since the file has only one. Its
    # lightest colour becomes as white as the page.
    height, width, _ = frames[0].shape
    whole = PIL.Image.fromarray(numpy.concatenate(frames)).quantize(48)
    colours = numpy.reshape(whole.getpalette(), (-1, 3))
    lightest = colours.sum(axis=1).argmax()
    if colours[lightest].min() > 240:
        colours[lightest] = 255
    whole.putpalette(colours.ravel().tolist())
    frames = [
        whole.crop((0, i * height, width, (i + 1) * height))
        for i in range(num_frames)
    ]
    picture = io.BytesIO()
    milliseconds = [1000 * seconds] * (num_frames - 1) + [5000 * seconds]
    frames[0].save(
        picture,
        'png',
        save_all=True,
        append_images=frames[1:],
        duration=milliseconds,
        loop=0,
    )
    return display.Image(picture.getvalue(), format='png')


def tile(images):
    """Lay images out in a grid about twice as wide as high.

    Args:
        images: shape (n, channels, height, width) with 1 or 3 channels; floats
            in [-1, 1], where values outside are clipped, or uint8.

    Returns:
        numpy.ndarray: in [0, 1], shape (rows * (height + 1) - 1,
        columns * (width + 1) - 1), and a last axis of 3 for colour.

    Raises:
        ValueError: if the channels are not 1 or 3, there is no image, or the
            numbers are of another type, or NaN.
    """
    if images.dtype == 'uint8':
        images = images / numpy.float32(127.5) - 1
    if images.dtype.kind != 'f' or numpy.isnan(images).any():
        raise ValueError(
            f'cannot lay out images of type {images.dtype}, or with NaN: they '
            'have to be floats in [-1, 1], or uint8'
        )
    n, channels, height, width = images.shape
    if n == 0 or channels not in (1, 3):
        raise ValueError(
            f'cannot lay out images of shape {images.shape}: at '
            'least one is needed, with 1 or 3 channels'
        )
    columns = min(n, math.ceil(math.sqrt(2 * n)))
    rows = math.ceil(n / columns)
    grid = numpy.ones((rows, height + 1, columns, width + 1, channels))
    for i, image in enumerate(images):
        grid[i // columns, :height, i % columns, :width] = (
            numpy.clip(image.transpose(1, 2, 0), -1, 1) + 1
        ) / 2
    grid = grid.reshape(rows * (height + 1), columns * (width + 1), channels)
    return grid[:-1, :-1].squeeze(-1) if channels == 1 else grid[:-1, :-1]


def save_images(path, images, min_width=0):
    """Save images as one PNG file, laid out as `tile` does.

    Args:
        path: the file, which is replaced if it is there.
        images: as for `tile`; numpy.ndarray or mxnet.np.ndarray.
        min_width: of the picture; each pixel becomes a square of as many as
            that takes.

    Raises:
        ValueError: as `tile` does.
    """
    grid = numpy.round(255 * tile(to_numpy(images))).astype('uint8')
    times = max(1, math.ceil(min_width / grid.shape[1]))
    grid = grid.repeat(times, axis=0).repeat(times, axis=1)
    with replacing(path) as draft:
        PIL.Image.fromarray(grid).save(draft, 'png')
