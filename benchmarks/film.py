"""Makes the film on top of README.md: the last one of the first chapter."""

import base64
import dataclasses
import pathlib

from d2l_gan.book.execute import execute
from d2l_gan.book.read import read_book
from d2l_gan.support.files import replacing

book = read_book('chapters')
chapter = next(c for c in book.chapters if c.name == 'gan')
alone = dataclasses.replace(book, chapters=(chapter,))
outputs, *_ = execute(alone, pathlib.Path('_build/cache'))['gan']
films = [
    output['data']['image/png']
    for found in outputs
    for output in found
    if 'image/png' in output.get('data', {})
]
with replacing(book.folder / 'img' / 'film.png') as draft:
    pathlib.Path(draft).write_bytes(base64.b64decode(films[-1]))
