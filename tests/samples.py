"""Small images, and files that hold them."""

import struct

import numpy
import PIL.Image

RED, WHITE = (255, 0, 0), (255, 255, 255)


def idx(array, magic=None):
    """The bytes of an IDX file."""
    array = numpy.asarray(array, 'uint8')
    return (
        bytes((0, 0, 8, array.ndim) if magic is None else magic)
        + struct.pack(f'>{array.ndim}I', *array.shape)
        + array.tobytes()
    )


# Three images of 2x2
PIXELS = numpy.array(
    [[[0, 255], [51, 204]], [[1, 2], [3, 4]], [[255, 255], [255, 255]]]
)
IMAGES, LABELS = idx(PIXELS), idx([7, 0, 9])


def put(folder, **files):
    """Write bytes to files; `__` in a keyword is a dot in the name."""
    for name, content in files.items():
        path = folder / name.replace('__', '.').replace('_', '-')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def put_mnist(root, images=IMAGES, labels=LABELS, name='mnist'):
    put(root / name, train_images_idx3_ubyte=images)
    put(root / name, train_labels_idx1_ubyte=labels)


def picture(path, color, mode='RGB', size=(5, 3), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new(mode, size, color).save(path, **options)
    return path


def files_in(folder):
    return [path for path in folder.rglob('*') if path.is_file()]


def the_colors(images):
    """The colour of each image, which must have one only."""
    colors = images[:, :, :1, :1]
    assert (images == colors).all()
    return colors[:, :, 0, 0].tolist()
