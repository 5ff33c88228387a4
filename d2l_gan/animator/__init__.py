"""A plot that grows while a GAN trains."""

import io
import math
import pathlib
import time

import matplotlib
import numpy
import PIL.Image
from IPython import display, get_ipython
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from d2l_gan.support.checks import to_numpy
from d2l_gan.support.files import replacing

__all__ = ['Animator', 'film', 'save_images', 'tile']

# At most this share of the time since the animator was made goes into
# drawing: beyond it frames are left out, never the last one.
BUDGET = 0.08


class Animator:
    """Losses as curves, and below them what the generator makes.

    It is made and called as `d2l.Animator` is. In a notebook, one picture is
    updated in place. In a terminal there is a progress bar with the latest
    values instead (nothing at all where no one watches, as in a log file).

    Args:
        xlabel, ylabel, legend, xlim, ylim, xscale, yscale: of the first panel.
        fmts: Matplotlib's formats for the curves.
        nrows, ncols: the panels.
        figsize: width and height in inches.
        path: where `close` saves the last picture; its suffix names the
            format (`.png`, `.svg`, `.pdf`).

    Attributes:
        fig, axes: Matplotlib's figure, and its panels as a list.
        seconds: the time spent on drawing so far.

    Raises:
        ValueError: if `path` has a suffix that Matplotlib cannot write.
    """

    def __init__(
        self,
        xlabel=None,
        ylabel=None,
        legend=None,
        xlim=None,
        ylim=None,
        xscale='linear',
        yscale='linear',
        fmts=('-', 'm--', 'g-.', 'r:'),
        nrows=1,
        ncols=1,
        figsize=(3.5, 2.5),
        *,
        path=None,
    ):
        # A figure of our own, unknown to pyplot: no backend shows it twice.
        self.fig = Figure(figsize=figsize)
        FigureCanvasAgg(self.fig)
        self.axes = list(self.fig.subplots(nrows, ncols, squeeze=False).flat)
        self.fig.subplots_adjust(
            left=0.14,
            right=0.97,
            top=0.97,
            bottom=0.11 if nrows > 1 else 0.2,
            hspace=0.3,
        )
        self.axes[0].set(
            xlabel=xlabel, ylabel=ylabel, xscale=xscale, yscale=yscale
        )
        self.axes[0].grid()
        self.seconds = 0.0
        self._xlim, self._ylim = xlim, ylim
        self._legend = legend or []
        self._fmts = fmts
        self._curves, self._shown = [], []
        self._path = _writable_picture(self.fig, path)
        self._started = time.perf_counter()
        self._pending = False
        self._handle = self._bar = None
        self._shell = get_ipython()
        if not hasattr(self._shell, 'kernel'):
            self._bar = tqdm(
                total=xlim[1] if xlim else None, desc=xlabel, disable=None
            )

    def add(self, x, y):
        """Append a point to each curve and redraw.

        Args:
            x: a number, or a list of one for each curve.
            y: a number, or a list of one for each curve; `None` skips one.
        """
        ys = list(y) if hasattr(y, '__len__') else [y]
        xs = list(x) if hasattr(x, '__len__') else [x] * len(ys)
        new = self._fmts[len(self._curves) : len(ys)]
        for fmt in new:
            self._curves += self.axes[0].plot([], [], fmt)
        if new and self._legend:
            self.axes[0].legend(
                self._curves, self._legend[: len(self._curves)]
            )
        for curve, a, b in zip(self._curves, xs, ys):
            if a is not None and b is not None:
                curve.set_data(
                    [*curve.get_xdata(), float(a)],
                    [*curve.get_ydata(), float(b)],
                )
        if self._bar is not None:
            self._bar.set_postfix(
                {
                    name: f'{curve.get_ydata()[-1]:.3f}'
                    for name, curve in zip(self._legend, self._curves)
                    if len(curve.get_ydata())
                },
                refresh=False,
            )
            self._bar.update(max(xs) - self._bar.n)
            return
        elapsed = time.perf_counter() - self._started
        if self._handle is None or self.seconds <= BUDGET * elapsed:
            self._draw()
        elif not self._pending:
            self._pending = True
            # Whoever never calls `close` still gets the last frame.
            self._shell.events.register('post_execute', self._finish)

    def show(self, real, fake):
        """Put data into the second panel; the next `add` draws it.

        Args:
            real: points of the data, shape (n, 2); not read for images.
            fake: what the generator made: points, shape (m, 2), or images in
                [-1, 1], shape (m, channels, height, width).

        Raises:
            ValueError: for other shapes.
        """
        fake = to_numpy(fake)
        panel = self.axes[1]
        if fake.ndim == 4:
            grid = tile(fake)
            if not self._shown:
                panel.set_axis_off()
                self._shown = [panel.imshow(grid, cmap='gray', vmin=0, vmax=1)]
            self._shown[0].set_data(grid)
            return
        real = to_numpy(real)
        for name, points in (('real', real), ('generated', fake)):
            if points.ndim != 2 or points.shape[1] != 2:
                raise ValueError(
                    f'the {name} data have shape {points.shape}; to be shown '
                    'they must be points, shape (n, 2), or images, shape '
                    '(n, channels, height, width)'
                )
        if not self._shown:
            self._shown = [
                panel.plot([], [], 'o', markersize=4, label=name)[0]
                for name in ('real', 'generated')
            ]
            panel.legend(loc='upper left')
        for cloud, points in zip(self._shown, (real, fake)):
            cloud.set_data(points.T)

    def close(self):
        """Draw the last frame, or end the bar, and save the picture."""
        if self._bar is not None:
            self._bar.close()
        else:
            self._finish()
        if self._path is not None:
            self._fit_axes()
            with replacing(self._path) as draft:
                self.fig.savefig(draft, format=self._path.suffix[1:], dpi=144)

    def _finish(self):
        if self._pending:
            self._draw()

    def _fit_axes(self):
        for panel in self.axes:
            panel.relim()
            panel.autoscale_view()
        # Not `None`, which would end the scaling for good.
        if self._xlim is not None:
            self.axes[0].set_xlim(self._xlim)
        if self._ylim is not None:
            self.axes[0].set_ylim(self._ylim)

    def _draw(self):
        start = time.perf_counter()
        self._fit_axes()
        picture = io.StringIO()
        # Without a salt and with a date the same plot is never twice the same
        # file. (IPython's own way of drawing trims the margins, by drawing
        # everything two more times.)
        with matplotlib.rc_context({'svg.hashsalt': 'd2l_gan'}):
            self.fig.savefig(picture, format='svg', metadata={'Date': None})
        frame = {
            'image/svg+xml': picture.getvalue(),
            'text/plain': 'A plot of the training so far',
        }
        if self._handle is None:
            self._handle = display.display(frame, raw=True, display_id=True)
        else:
            self._handle.update(frame, raw=True)
        if self._pending:
            self._pending = False
            self._shell.events.unregister('post_execute', self._finish)
        self.seconds += time.perf_counter() - start


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
        images: shape (n, channels, height, width) with 1 or 3 channels, in
            [-1, 1]; values outside are clipped.

    Returns:
        numpy.ndarray: in [0, 1], shape (rows * (height + 1) - 1,
        columns * (width + 1) - 1), and a last axis of 3 for colour.

    Raises:
        ValueError: if the channels are not 1 or 3, or there is no image.
    """
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


def save_images(path, images):
    """Save images as one PNG file, laid out as `tile` does.

    Args:
        path: the file, which is replaced if it is there.
        images: as for `tile`; numpy.ndarray or mxnet.np.ndarray.

    Raises:
        ValueError: as `tile` does.
    """
    grid = numpy.round(255 * tile(to_numpy(images))).astype('uint8')
    with replacing(path) as draft:
        PIL.Image.fromarray(grid).save(draft, 'png')


def _writable_picture(fig, path):
    """Find out before a long training whether its picture can be written."""
    if path is None:
        return None
    path = pathlib.Path(path)
    formats = fig.canvas.get_supported_filetypes()
    if path.suffix[1:] not in formats:
        raise ValueError(
            f'{path}: Matplotlib writes no "{path.suffix}" '
            f'files, only {", ".join(sorted(formats))}'
        )
    return path
