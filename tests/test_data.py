"""Images by name: the digits, files made here, and folders of them."""

import os
import struct
import zlib

import numpy
import PIL.Image
import pytest
from samples import RED, WHITE, picture, put, put_mnist, the_colors

from d2l_gan.data import class_names, load_images, read_images

# Data sets come from an empty folder, and none can be fetched.
pytestmark = pytest.mark.usefixtures('root')


# ----- the data sets


def test_digits_are_the_scans_of_scikit_learn():
    images, labels = read_images()
    assert (images.shape, images.dtype) == ((1797, 1, 8, 8), 'uint8')
    assert (labels.shape, labels.dtype) == ((1797,), 'int32')
    # The first row of its first image is 0 0 5 13 9 1 0 0, of 16; times
    # 15.9375 that is 0 0 79.7 207.2 143.4 15.9 0 0.
    assert images[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert (images.min(), images.max()) == (0, 255)
    assert len(numpy.unique(images)) == 17
    assert labels[:10].tolist() == list(range(10))


@pytest.mark.parametrize('size', [5, 16, 28, 64])
def test_digits_at_another_size(size):
    images, labels = read_images('digits', size)
    assert (images.shape, images.dtype) == ((1797, 1, size, size), 'uint8')
    assert labels.shape == (1797,)
    scan = PIL.Image.fromarray(read_images('digits')[0][1000, 0])
    scan = scan.resize((size, size), PIL.Image.Resampling.BICUBIC)
    numpy.testing.assert_array_equal(images[1000, 0], numpy.asarray(scan))
    # The curves of bicubic scaling leave 0..255, the pixels must not.
    X = numpy.concatenate(
        [X.asnumpy() for X, _ in load_images(500, 'digits', size)]
    )
    assert (X.min(), X.max()) == (-1, 1)


def test_the_environment_names_the_data_set(monkeypatch, root):
    monkeypatch.setenv('D2L_GAN_DATASET', '')
    assert len(read_images()[0]) == 1797
    put_mnist(root)
    monkeypatch.setenv('D2L_GAN_DATASET', 'mnist')
    assert len(read_images()[0]) == 3
    assert len(read_images('digits')[0]) == 1797


def test_errors_say_that_the_environment_named_the_data(monkeypatch, root):
    root.mkdir()
    for name, message in (('gone', "'gone' is neither"), (root, 'holds no')):
        monkeypatch.setenv('D2L_GAN_DATASET', str(name))
        with pytest.raises(
            (FileNotFoundError, ValueError),
            match=rf'^of \$D2L_GAN_DATASET: .*{message}',
        ):
            read_images()
        with pytest.raises((FileNotFoundError, ValueError), match=message):
            read_images(name)


# ----- folders


def test_a_folder_is_searched_and_sorted(tmp_path):
    folder = tmp_path / 'art'
    picture(folder / 'b/1.PNG', RED)
    picture(folder / 'a/2.png', (0, 255, 0))
    picture(folder / 'c.jpeg', WHITE)
    picture(folder / 'b/.1.png', RED)
    picture(folder / '.trash/1.png', RED)
    put(folder, notes__txt=b'no image')
    images, labels = read_images(str(folder))
    assert labels is None
    assert (images.shape, images.dtype) == ((3, 3, 64, 64), 'uint8')
    assert the_colors(images) == [[0, 255, 0], [255, 0, 0], [255, 255, 255]]
    assert read_images(folder, 8)[0].shape == (3, 3, 8, 8)


def test_a_folder_of_grey_files_has_one_channel(tmp_path):
    picture(tmp_path / '1.png', 0, 'L')
    picture(tmp_path / '2.png', 1, '1')
    picture(tmp_path / '3.png', (100, 255), 'LA')
    picture(tmp_path / '4.jpg', 255, 'L')
    # 16 bits: 0x6450 is 100 * 256 + 80.
    picture(tmp_path / '5.png', 0x6450, 'I;16')
    images, _ = read_images(tmp_path, 4)
    assert the_colors(images) == [[0], [255], [100], [255], [100]]
    # One in colour gives all of them three.
    picture(tmp_path / '6.png', RED)
    images, _ = read_images(tmp_path, 4)
    assert the_colors(images) == [[0] * 3, [255] * 3, [100] * 3, [255] * 3,
                                  [100] * 3, [255, 0, 0]]  # fmt: skip


def test_folders_in_a_folder_are_classes(tmp_path, capsys):
    for path, color in (
        ('dog/1.png', RED),
        ('dog/puppies/2.png', WHITE),
        ('cat/9.png', WHITE),
        ('empty/notes.txt', None),
    ):
        if color:
            picture(tmp_path / path, color)
        else:
            put(tmp_path / 'empty', notes__txt=b'')
    images, labels = read_images(tmp_path, 2)
    assert the_colors(images) == [[255] * 3, [255, 0, 0], [255] * 3]
    assert (labels.dtype, labels.tolist()) == ('int32', [0, 1, 1])
    assert class_names(tmp_path) == ['cat', 'dog']
    said = f'{tmp_path}: took 3 of 4 files, in 2 classes; left out: 1 .txt\n'
    assert capsys.readouterr().err == said
    (X, y), = load_images(3, tmp_path, 2, shuffle=False)  # fmt: skip
    assert X.shape == (3, 3, 2, 2) and y.asnumpy().tolist() == [0, 1, 1]
    # One that lies beside the folders has no class, so none has.
    picture(tmp_path / '1.png', RED)
    assert read_images(tmp_path, 2)[1] is None
    assert class_names(tmp_path) == class_names(tmp_path / 'dog') == []
    assert class_names('digits') == list('0123456789')


def test_all_that_pillow_reads_is_read(tmp_path, capsys):
    suffixes = ['bmp', 'gif', 'ico', 'jp2', 'jpg', 'ppm', 'png', 'tga']
    suffixes += ['tiff', 'webp']
    for suffix in suffixes:
        picture(tmp_path / f'1.{suffix}', WHITE, size=(16, 16))
    PIL.Image.new('RGB', (4, 4), WHITE).save(
        tmp_path / '2.gif',
        save_all=True,
        append_images=[PIL.Image.new('RGB', (4, 4), RED)],
    )
    picture(tmp_path / '3.jpg', (0, 0, 0, 0), 'CMYK')
    put(tmp_path, clip__mpg=b'\0\0\1\xb3' + bytes(40), noname=b'')
    images, _ = read_images(tmp_path, 2)
    assert len(images) == len(suffixes) + 2 and (images == 255).all()
    assert 'left out: 1 .mpg, 1 without a suffix' in capsys.readouterr().err


def test_a_folder_of_which_little_is_left_is_doubted(tmp_path, capsys):
    picture(tmp_path / '1.png', RED)
    put(tmp_path, a__heic=b'', b__heic=b'')
    read_images(tmp_path, 2)
    assert 'took 1 of 3 files' in (said := capsys.readouterr().err)
    assert '2 .heic (most of them: is this the right folder?)' in said


def test_links_are_followed_and_loops_end(tmp_path, capsys):
    picture(tmp_path / 'elsewhere/dogs/1.png', RED)
    folder = tmp_path / 'pictures'
    picture(folder / 'cat/1.png', WHITE)
    (folder / 'dog').symlink_to(tmp_path / 'elsewhere/dogs')
    (folder / 'cat/2.png').symlink_to(folder / 'dog/1.png')
    (folder / 'cat/again').symlink_to(folder)
    (folder / 'cat/3.png').symlink_to('gone.png')
    images, labels = read_images(folder, 2)
    assert the_colors(images) == [[255] * 3, [255, 0, 0], [255, 0, 0]]
    assert labels.tolist() == [0, 0, 1]
    assert '1 no file, or a link to none' in capsys.readouterr().err


def test_names_may_be_anything(tmp_path):
    picture(tmp_path / 'a folder.png/é.png', RED)
    name = os.path.join(os.fsencode(tmp_path), b'a folder.png', b'\xff.png')
    content = (tmp_path / 'a folder.png/é.png').read_bytes()
    with open(name, 'wb') as file:
        file.write(content)
    assert the_colors(read_images(tmp_path, 2)[0]) == [[255, 0, 0]] * 2


@pytest.mark.parametrize(
    'fit, row',
    [
        ('crop', [51, 51]),
        ('stretch', None),
        ('pad', [255, 255]),
    ],
)
def test_pictures_that_are_no_squares(fit, row, tmp_path):
    # White, dark, dark, white: a square cut out of the middle is dark.
    pixels = numpy.full((2, 8), 255, 'uint8')
    pixels[:, 2:6] = 51
    PIL.Image.fromarray(pixels).save(tmp_path / '1.png')
    image = read_images(tmp_path, 2, fit=fit)[0][0, 0]
    if fit == 'stretch':
        scaled = PIL.Image.fromarray(pixels).resize((2, 2), 3)
        assert image.tolist() == numpy.asarray(scaled).tolist()
    else:
        assert image[0].tolist() == row
    # Upright ones are cut as lying ones are.
    PIL.Image.fromarray(pixels.T).save(tmp_path / '1.png')
    turned = read_images(tmp_path, 2, fit=fit)[0][0, 0]
    assert turned.tolist() == image.T.tolist()


@pytest.mark.parametrize('fit', ['crop', 'stretch'])
def test_a_line_of_pixels_is_an_image(fit, tmp_path):
    picture(tmp_path / '1.png', 0, 'L', size=(1000, 1))
    image = read_images(tmp_path, 8, fit=fit)[0][0, 0]
    assert (image == 0).any()


@pytest.mark.parametrize(
    'greatest, white',
    [(255, 255), (100, 255), (4095, 4095), (1000, 4095), (65535, 65535)],
)
def test_16_bits_may_hold_numbers_of_less(greatest, white, tmp_path):
    numbers = numpy.array([[0, greatest // 2], [greatest, 5]], 'uint16')
    PIL.Image.fromarray(numbers).save(tmp_path / '1.png')
    PIL.Image.fromarray(numbers // 2).save(tmp_path / '2.tiff')
    images, _ = read_images(tmp_path, 2)
    for image, found in zip(images[:, 0], (numbers, numbers // 2)):
        numpy.testing.assert_array_equal(
            image, numpy.rint(found * (255 / white))
        )


def test_floats_may_go_to_one(tmp_path):
    numbers = numpy.array([[0, 0.5], [1, 0.25]], 'float32')
    PIL.Image.fromarray(numbers).save(tmp_path / '1.tiff')
    image = read_images(tmp_path, 2)[0][0, 0]
    assert image.tolist() == [[0, 128], [255, 64]]
    PIL.Image.fromarray(numbers * numpy.nan).save(tmp_path / '1.tiff')
    with pytest.raises(ValueError, match=r'1\.tiff cannot .*\(it holds NaN'):
        read_images(tmp_path, 2)


def test_mirrored_images_are_half_of_them(tmp_path):
    pixels = numpy.array([[0, 255]], 'uint8')
    PIL.Image.fromarray(pixels).save(tmp_path / '1.png')
    for i in range(2, 201):
        os.link(tmp_path / '1.png', tmp_path / f'{i}.png')
    epochs = []
    for in_memory in (True, False):
        numpy.random.seed(0)
        data_iter = load_images(
            64, tmp_path, 2, mirror=True, in_memory=in_memory, fit='stretch'
        )
        epochs += [
            numpy.concatenate([X.asnumpy() for X in data_iter])
            for _ in range(2)
        ]
    for X in epochs:
        kept = X[:, 0, 0, 0] < X[:, 0, 0, 1]
        assert (X[kept] == X[~kept][:1, ..., ::-1]).all()
        assert 60 < kept.sum() < 140
    assert (epochs[0] != epochs[1]).any()
    for X, Y in zip(epochs, epochs[2:]):
        numpy.testing.assert_array_equal(X, Y)


def test_what_is_transparent_is_white(tmp_path):
    picture(tmp_path / '1.png', (255, 0, 0, 0), 'RGBA')
    # 255 - 51 = 204 of 255 are white: 0.8 * 255 = 204.
    picture(tmp_path / '2.png', (255, 0, 0, 51), 'RGBA')
    picture(tmp_path / '3.png', (255, 0, 0, 255), 'RGBA')
    picture(tmp_path / '4.png', RED, transparency=RED)
    colors = the_colors(read_images(tmp_path, 2)[0])
    assert colors == [[255] * 3, [255, 204, 204], [255, 0, 0], [255] * 3]


def test_photographs_are_turned_upright(tmp_path):
    pixels = numpy.zeros((1, 2), 'uint8')
    pixels[0, 1] = 255
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned to the left
    PIL.Image.fromarray(pixels).save(tmp_path / '1.png', exif=exif)
    images, _ = read_images(tmp_path, 2, fit='stretch')
    assert images[0, 0].tolist() == [[0, 0], [255, 255]]


# ----- bad input


@pytest.mark.parametrize('size', [0, -8])
@pytest.mark.parametrize('name', ['digits', '.'])
def test_a_size_below_one(size, name):
    with pytest.raises(ValueError, match=f'size is {size}, but must be'):
        read_images(name, size)


def test_a_batch_size_below_one():
    with pytest.raises(ValueError, match='batch_size is 0, but must be'):
        load_images(0)


def test_a_test_set_where_there_is_none():
    with pytest.raises(ValueError, match="'digits' has no test set, only mni"):
        read_images('digits', train=False)


@pytest.mark.parametrize(
    'name, meant',
    [
        ('minst', 'mnist'),
        ('MNIST', 'mnist'),
        ('Fashion-MNIST', 'fashion_mnist'),
        ('digit', 'digits'),
        ('pokémon', 'pokemon'),
    ],
)
def test_an_unknown_name(name, meant):
    with pytest.raises(
        FileNotFoundError,
        match=f"{name!r} is neither .*fashion_mnist.*mean '{meant}'",
    ):
        read_images(name)


def test_a_missing_folder(tmp_path):
    path = tmp_path / 'gone'
    with pytest.raises(
        FileNotFoundError, match=f'{path}.* is neither .*: check its path'
    ):
        read_images(path)


def test_a_folder_without_images(tmp_path):
    put(tmp_path / 'texts', a__txt=b'a')
    with pytest.raises(ValueError, match=f'{tmp_path} holds no images: .*png'):
        read_images(tmp_path)


def test_files_that_are_no_images(tmp_path):
    for i in range(20):
        picture(tmp_path / f'{i}.png', RED)
    broken = put(tmp_path, text__png=b'Dear reader,') / 'text.png'
    cannot = 'cannot be read as an image .*: remove it'
    with pytest.raises(ValueError, match=f'{broken} {cannot}'):
        read_images(tmp_path)
    broken.unlink()
    short = tmp_path / '7.png'
    short.write_bytes(short.read_bytes()[:50])
    with pytest.raises(ValueError, match=f'{short} {cannot}'):
        read_images(tmp_path)


def chunk(kind, data, checksum=None):
    """A part of a PNG file."""
    checksum = zlib.crc32(kind + data) if checksum is None else checksum
    size, end = struct.pack('>I', len(data)), struct.pack('>I', checksum)
    return size + kind + data + end


@pytest.mark.parametrize('place', [b'IDAT', b'IEND'])
@pytest.mark.parametrize(
    'metadata',
    [
        chunk(b'eXIf', b'garbage'),
        chunk(b'zTXt', b'Comment\0\0' + zlib.compress(bytes(2_000_000))),
        chunk(b'tEXt', b'Comment\0words', checksum=1),
        chunk(b'iCCP', b'profile\0\0garbage'),
    ],
)
def test_damaged_metadata_are_no_damaged_picture(metadata, place, tmp_path):
    path = picture(tmp_path / '1.png', RED)
    whole = path.read_bytes()
    i = whole.index(place) - 4
    path.write_bytes(whole[:i] + metadata + whole[i:])
    assert the_colors(read_images(tmp_path, 2)[0]) == [[255, 0, 0]]
    assert the_colors(read_images(tmp_path, 2, skip_damaged=True)[0]) == [
        [255, 0, 0]
    ]


def test_a_photograph_is_upright_though_its_resolution_is_text(tmp_path):
    entries = struct.pack('<HHIHH', 0x0112, 3, 1, 6, 0)
    entries += struct.pack('<HHI4s', 0x011A, 2, 4, b'two')
    exif = b'Exif\0\0II*\0' + struct.pack('<IH', 8, 2) + entries + bytes(4)
    pixels = numpy.zeros((8, 8), 'uint8')
    pixels[:, 4:] = 255
    PIL.Image.fromarray(pixels).save(tmp_path / '1.jpg', exif=exif)
    image = read_images(tmp_path, 8)[0][0, 0]
    numpy.testing.assert_allclose(image, pixels.T, atol=20)


def test_damaged_files_can_be_skipped(tmp_path, capsys):
    picture(tmp_path / 'a/1.png', RED)
    picture(tmp_path / 'b/1.png', WHITE)
    for name in ('a/2.png', 'b/2.png'):
        path = picture(tmp_path / name, RED)
        path.write_bytes(path.read_bytes()[:50])
    put(tmp_path / 'b', text__png=b'Dear reader,')
    with pytest.raises(ValueError, match='--skip-damaged'):
        read_images(tmp_path, 2)
    for in_memory in (True, False):
        data_iter = load_images(
            9, tmp_path, 2, False, in_memory=in_memory, skip_damaged=True
        )
        ((X, y),) = data_iter
        assert X[:, :, 0, 0].asnumpy().tolist() == [[1, -1, -1], [1, 1, 1]]
        assert y.asnumpy().tolist() == [0, 1]
        assert f'left out: 3 damaged, such as {tmp_path}/a/2.png' in (
            capsys.readouterr().err
        )
    (tmp_path / 'a/1.png').unlink()
    with pytest.raises(ValueError, match='one of its classes, are damaged'):
        read_images(tmp_path, 2, skip_damaged=True)


def test_a_fit_that_there_is_not():
    with pytest.raises(ValueError, match="fit is 'zoom', but must be crop or"):
        read_images('digits', 8, fit='zoom')
