"""What the chapters define and do not save, against other ways to it."""

import pathlib
import re

import numpy

from d2l_gan.book import marks
from d2l_gan.book.read import read_book, read_chapter
from d2l_gan.evaluate import frechet_distance

CHAPTERS = pathlib.Path(__file__).parent.parent / 'chapters'


def define(chapter, name):
    """The definition of `name` in a chapter, and the names it goes with."""
    (cell,) = (
        cell
        for cell in read_chapter(CHAPTERS / f'{chapter}.md').code
        if f'def {name}(' in cell.source
    )
    # The last block of the cell only prints.
    names = {'numpy': numpy}
    exec(cell.source.rsplit('\n\n', 1)[0], names)
    return names


def test_code_fits_a_page():
    for path in CHAPTERS.glob('*.md'):
        chapter = read_chapter(path)
        for cell in chapter.program:
            for i, line in enumerate(cell.source.split('\n'), 1):
                assert len(line) < 80, chapter.error(cell.at(i), line)


def test_the_distance_in_two_dimensions_is_the_general_one():
    names = define('gan', 'distance_to_truth')
    rng = numpy.random.RandomState(0)
    for rank in (2, 2, 2, 1, 0):
        W = rng.normal(size=(2, rank))
        A = rng.normal(size=(2, 2))
        mean, true_mean = rng.normal(size=(2, 2))
        names.update(true_mean=true_mean, true_cov=A.T @ A)
        numpy.testing.assert_allclose(
            names['distance_to_truth'](mean, W @ W.T),
            frechet_distance(mean, W @ W.T, true_mean, A.T @ A),
            atol=1e-6,
        )


def test_the_tables_for_teachers_are_true():
    book = read_book(CHAPTERS)
    chapters = {chapter.name: chapter for chapter in book.chapters}
    pages = marks.number(book).page
    text = (CHAPTERS / 'teaching.md').read_text(encoding='utf-8')
    rows = re.findall(
        r'^\| :numref:`(\w+)`,[^|]*\|[^|]*\| (\d+) \|$', text, re.M
    )
    assert len(rows) == len(chapters) - 1
    for label, num_slides in rows:
        chapter = chapters[pages[label]]
        prose = '\n'.join(cell.source for cell in chapter.text)
        begun = sum(
            match[0].startswith('[')
            for match in marks.SLIDE.finditer(prose)
            if not (match['fence'] or match['code'])
        )
        assert int(num_slides) == begun + 1, label
    rows = re.findall(r'^\| `(\w+)` \| :numref.*? \| (\d+) \|', text, re.M)
    folder = CHAPTERS.parent / 'assignments'
    assert {
        path.stem: sum(map(int, re.findall(r'#@grade (\d)', path.read_text())))
        for path in folder.glob('*.md')
    } == {name: int(points) for name, points in rows}
