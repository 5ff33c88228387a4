"""What one sees of a run that is kept in a folder."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from d2l_gan.animator import Animator, save_images
from d2l_gan.support.files import replacing

__all__ = ['RunAnimator', 'save_losses', 'save_samples']

# Grids of samples are so many pixels wide, or more.
MIN_WIDTH = 600
# At least so many pictures of samples does a run leave, epochs permitting.
NUM_PICTURES = 10


class RunAnimator(Animator):
    """Shows how a run goes in the terminal, and leaves pictures of samples.

    They are written about every tenth of the run.

    Args:
        run: the `RunFolder`.
    """

    def __init__(self, run):
        self.run, self.is_new = run, False
        self.num_epochs = run.settings['num_epochs']
        super().__init__(
            'epoch',
            legend=['discriminator', 'generator'],
            xlim=[0, self.num_epochs],
        )

    def show(self, real, fake):
        """Hear that an epoch is over; what is shown, the run draws itself."""
        self.is_new = True

    def add(self, x, y):
        """Show an epoch.

        Args:
            x: its number, from 1.
            y: the losses of discriminator and generator.
        """
        super().add(x, y)
        # Of an epoch before the run was resumed there is nothing to show.
        if self.is_new and x % max(1, self.num_epochs // NUM_PICTURES) == 0:
            self.run.save_samples(f'samples/epoch-{x:04d}.png', x)


def save_losses(path, history, num_epochs):
    """Save a picture of the losses.

    Args:
        path: a PNG file.
        history: as `d2l_gan.train.train` gives it.
        num_epochs: how many epochs there will be at least.
    """
    fig = Figure(figsize=(5, 3), layout='tight')
    panel = fig.subplots()
    epochs = range(1, len(history['loss_D']) + 1)
    panel.plot(epochs, history['loss_D'], '-', label='discriminator')
    panel.plot(epochs, history['loss_G'], 'm--', label='generator')
    panel.set(xlabel='epoch', ylabel='loss')
    panel.set_xlim(0, max(num_epochs, len(epochs)))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid()
    panel.legend()
    with replacing(path) as draft:
        fig.savefig(draft, format='png', dpi=144)


def save_samples(path, fake, real=None):
    """Save a picture of samples.

    Args:
        path: a PNG file.
        fake: images, as in `d2l_gan.animator.save_images`, or points, shape
            (n, 2). A single image keeps its size.
        real: points to be shown below them; not read for images.
    """
    if fake.ndim == 4:
        save_images(path, fake, MIN_WIDTH if len(fake) > 1 else 0)
        return
    fig = Figure(figsize=(5, 4))
    panel = fig.subplots()
    if real is not None:
        panel.plot(*real.T, 'o', markersize=4, label='real')
    panel.plot(*fake.T, 'o', markersize=4, label='generated', color='C1')
    panel.legend(loc='upper left')
    with replacing(path) as draft:
        fig.savefig(draft, format='png', dpi=144)
