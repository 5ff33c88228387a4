"""Images in a grid, and plots as frames of a film."""

import base64
import html
import io
import json
import math
import pathlib

import numpy
import PIL.Image
from IPython import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from d2l_gan.support.checks import to_numpy
from d2l_gan.support.files import replacing
from d2l_gan.support.pages import with_files

__all__ = ['draw_field', 'film', 'save_images', 'tile']


HERE = pathlib.Path(__file__).parent
# The fakes' colour, and that of real examples, both diluted
OPINIONS = LinearSegmentedColormap.from_list(
    'opinions', ['#ffbf86', 'white', '#8fbbd9']
)


class Film(display.Image):
    """A moving picture; pages and notebooks with scripts let one hold it.

    Args:
        data: an animated PNG.
        film: what `film.js` reads: `frames`, `captions` and `seconds`.
    """

    def __init__(self, data, film):
        super().__init__(data, format='png')
        self.film = film

    def _repr_html_(self):
        # The picture is what remains where scripts and buttons are taken out.
        return with_files(
            '<figure class="film" data-lm-suppress-shortcuts="true" '
            f'data-film="{html.escape(json.dumps(self.film))}">'
            f'<img src="{_address(self.data)}" alt="a moving picture">'
            '<figcaption></figcaption></figure>',
            HERE / 'film.css',
            HERE / 'film.js',
        )


def film(draw, num_frames, figsize=(5, 3), seconds=0.25):
    """Make a picture that moves, and that one can hold.

    In pages and notebooks that run scripts, it has a slider, and buttons to
    play, pause and step; the arrow keys step, too. It starts by itself unless
    the reader's system asks for reduced motion.

    Args:
        draw: called with an empty Matplotlib figure and the number of the
            frame, from 0; gives the frame's caption, or `None`.
        num_frames: how many frames there are, at least 1.
        figsize: width and height in inches.
        seconds: how long a frame stays; the last one stays five times as long.

    Returns:
        Film: an animated PNG, which starts over at the end, and its frames.
    """
    frames, captions = [], []
    for i in range(num_frames):
        fig = Figure(figsize=figsize, dpi=100)
        FigureCanvasAgg(fig)
        captions.append(draw(fig, i) or f'frame {i + 1} of {num_frames}')
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
    moving = _png(
        frames[0],
        save_all=True,
        append_images=frames[1:],
        duration=[1000 * seconds] * (num_frames - 1) + [5000 * seconds],
        loop=0,
    )
    singles = [_address(_png(frame)) for frame in frames]
    return Film(
        moving, {'frames': singles, 'captions': captions, 'seconds': seconds}
    )


def _png(image, **how):
    file = io.BytesIO()
    image.save(file, 'png', **how)
    return file.getvalue()


def _address(png):
    return f'data:image/png;base64,{base64.b64encode(png).decode()}'


def draw_field(ax, recorder, epoch, real, length=1):
    """Draw what a discriminator of points said after an epoch.

    Blue is where it said "real", orange "fake", and white where it could not
    tell; arrows are the directions in which it sent fakes.

    Args:
        ax: Matplotlib's axes.
        recorder: a `d2l_gan.train.FieldRecorder` that watched a training.
        epoch: from 0.
        real: real points to be shown beside the fakes, shape (n, 2).
        length: of an arrow for a slope of 1, in units of the axes.
    """
    left, right, low, high = recorder.box
    field, arrows = recorder.fields[epoch], recorder.arrows[epoch]
    fakes = recorder.fakes[epoch]
    x, y = (
        numpy.linspace(*ends, n)
        for *ends, n in zip((left, low), (right, high), field.shape[::-1])
    )
    ax.contourf(x, y, field, numpy.linspace(0, 1, 10), cmap=OPINIONS)
    for points, colour in ((to_numpy(real), 'C0'), (fakes, 'C1')):
        ax.plot(*points[:200].T, '.', ms=3, color=colour)
    ax.quiver(
        *fakes[: len(arrows)].T,
        *(length * arrows.T),
        angles='xy',
        scale_units='xy',
        scale=1,
        width=0.005,
        headwidth=4,
        headlength=4,
        headaxislength=3.5,
        zorder=3,
    )
    ax.set(xlim=(left, right), ylim=(low, high))


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
