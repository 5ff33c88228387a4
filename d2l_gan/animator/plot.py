"""A plot that grows while a GAN trains."""

import io
import time

import matplotlib
import mxnet as mx
from IPython import display, get_ipython
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from tqdm import tqdm

from d2l_gan.animator.pictures import tile
from d2l_gan.support.checks import to_numpy
from d2l_gan.support.files import expand, replacing

__all__ = ['Animator']

# At most this share of the time since the animator was made goes into
# drawing: beyond it frames are left out, never the last one.
BUDGET = 0.08
# The line of a bar that moves within an epoch, too
FRACTIONS = (
    '{desc} {n:.1f} of {total_fmt} |{bar}| {elapsed}, {remaining} left'
    '{postfix}'
)


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
        self._path = path and expand(path)
        formats = self.fig.canvas.get_supported_filetypes()
        if path and self._path.suffix[1:] not in formats:
            raise ValueError(
                f'{path}: Matplotlib writes no "{self._path.suffix}" files, '
                f'only {", ".join(sorted(formats))}'
            )
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
        if xlabel == 'epoch':
            self.axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
        self.axes[0].grid()
        self.seconds = 0.0
        self._xlim, self._ylim = xlim, ylim
        self._legend = legend or []
        self._fmts = fmts
        self._curves, self._shown = [], []
        self._started = time.perf_counter()
        self._pending = False
        self._handle = self._bar = None
        self._shell = get_ipython()
        if not hasattr(self._shell, 'kernel'):
            self._bar = tqdm(
                total=xlim[1] if xlim else None,
                desc=xlabel,
                disable=None,
                smoothing=0,  # What is left follows from all that was done.
            )

    def follow(self, data_iter):
        """Let the progress bar, if there is one, move within an epoch, too.

        Points that are added before the first minibatch are taken for those
        of a run that is resumed: the time that is left follows from the
        others.

        Args:
            data_iter: gives minibatches, every epoch anew; with a length.

        Returns:
            An iterable that gives the same ones, and has that length.
        """
        if self._bar is None or self._bar.disable:
            return data_iter
        self._bar.bar_format = FRACTIONS
        return _Followed(data_iter, self._bar)

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
        """Draw the last frame, or end the bar, and save the picture.

        Where no point was added, there is none.
        """
        if self._bar is not None:
            self._bar.close()
        else:
            self._finish()
        if self._path is not None and self._curves:
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


class _Followed:
    """Minibatches that move a bar, which counts epochs, by fractions.

    MXNet works behind Python's back, so now and then, about twice a second,
    this waits for it.
    """

    def __init__(self, data_iter, bar):
        self.data_iter, self.bar = data_iter, bar
        self.stride = 0

    def __len__(self):
        return len(self.data_iter)

    def __iter__(self):
        if self.stride == 0:  # What the bar shows by now took no time here.
            self.bar.initial, self.stride = self.bar.n, 1
        waiting, then = 0, time.monotonic()
        for minibatch in self.data_iter:
            yield minibatch
            waiting += 1
            if waiting >= self.stride:
                mx.nd.waitall()
                self.bar.update(waiting / len(self))
                now = time.monotonic()
                factor = 2 if now - then < 0.5 else 0.5
                self.stride = max(1, int(self.stride * factor))
                waiting, then = 0, now
