"""The ring and the grid of the chapter on rest, over more seeds.

The chapter plays each of them on a seed or two, so that the book builds in
minutes. This runs the same cells for as many seeds as asked, and prints a
table.
"""

import argparse
import re
import statistics

# Before MXNet, so that it finds the NumPy that it needs
import d2l_gan  # noqa: F401 isort: skip

from d2l_gan.book.read import read_book
from d2l_gan.resting import RestingGame

NEEDED = re.compile(r'^(?:def (?:mlps|compare|judge_points)\(|CASES = )', re.M)


def chapter_names():
    """Run the chapter's imports, and the cells that define what is needed."""
    book = read_book('chapters')
    chapter = next(c for c in book.chapters if c.name == 'resting')
    imports, *others = (cell.source for cell in chapter.code)
    # As of the main program, so that other processes get copies of them
    names = {'__name__': '__main__', 'RestingGame': RestingGame}
    exec(imports.replace('%matplotlib inline', ''), names)
    for source in filter(NEEDED.search, others):
        exec(source, names)
    return names


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--seeds', type=int, default=10, help='runs a game')
    parser.add_argument(
        '--minibatches',
        type=int,
        default=3000,
        help='of the resting game; the usual one gets the same work',
    )
    args = parser.parse_args()
    chapter = chapter_names()
    for case in chapter['CASES']:
        runs = chapter['compare'](case, args.minibatches, range(args.seeds))
        print(
            f'\n| {case} | modes, by seed | good samples, median | worst | '
            'rarest mode of its due, median | worst |\n' + '| --- ' * 6 + '|'
        )
        for name, recorders in runs.items():
            covered, good, rarest = zip(
                *(
                    chapter['judge_points'](recorder.fakes[-1], case)
                    for recorder in recorders
                )
            )
            print(
                f'| {name} | {", ".join(map(str, covered))} | '
                f'{statistics.median(good):.2f} | {min(good):.2f} | '
                f'{statistics.median(rarest):.2f} | {min(rarest):.2f} |'
            )


if __name__ == '__main__':
    main()
