"""Images that are decoded, or scaled, as late as somebody asks for them."""

import collections
import concurrent.futures

import joblib
import numpy
from tqdm import tqdm

__all__ = ['LazyImages', 'ahead']


class LazyImages:
    """Images that are decoded or scaled when somebody asks for them.

    `numpy.asarray` reads all, in threads.

    Args:
        read: gives the pixels of image i, uint8 of shape (channels, size,
            size); called by many threads.
        shape: of all, (n, channels, size, size).
        task: what that is called beside its progress bar.
    """

    def __init__(self, read, shape, task):
        self.read, self.shape, self.task = read, shape, task

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, indices):
        """Read the images of a list of indices, a `numpy.ndarray`."""
        return numpy.stack([self.read(i) for i in indices])

    def __array__(self, dtype=None):
        # So many that no thread waits for the one that copies; but all at once
        # would take memory, two kilobytes for each.
        pixels = ahead(self.read, range(len(self)), 64)
        bar = tqdm(pixels, self.task, len(self), unit=' images', disable=None)
        images = numpy.empty(self.shape, 'uint8')
        for i, image in enumerate(bar):
            images[i] = image
        return images.astype(dtype or 'uint8', copy=False)


def ahead(function, inputs, num_ahead):
    """Map a function in threads, so many calls ahead of their use.

    Args:
        function: called with one input.
        inputs: an iterable, which is read as far as the calls go.
        num_ahead: how many calls have begun, or wait for a thread, beside
            the one whose result is wanted.

    Yields:
        The results, in the order of the inputs.
    """
    # Pillow decodes without holding Python's lock, but for half of the time
    # only: threads that have no core to themselves are in the way.
    pool = concurrent.futures.ThreadPoolExecutor(joblib.cpu_count())
    try:
        calls = collections.deque()
        for x in inputs:
            calls.append(pool.submit(function, x))
            if len(calls) > num_ahead:
                yield calls.popleft().result()
        while calls:
            yield calls.popleft().result()
    finally:
        # If the loop is left early, no other call begins, and the threads end.
        pool.shutdown(wait=False, cancel_futures=True)
