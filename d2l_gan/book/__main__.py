"""`python -m d2l_gan.book`: the library, the pages and the notebooks."""

import argparse
import dataclasses
import os
import pathlib
import shutil
import sys
import time

from d2l_gan.book.export import export
from d2l_gan.book.read import BookError, read_book


def main(arguments=None, prog='python -m d2l_gan.book'):
    """Run the command line; gives the exit status."""
    options = _parser(prog).parse_args(arguments)
    try:
        return options.run(options)
    except BookError as error:
        told, status = f'error: {error}', 1
    except ModuleNotFoundError as error:
        extra = 'classroom' if error.name == 'nbgrader' else 'book'
        told = f'error: the book needs the package {error.name}, which is not '
        told, status = f"{told}installed: pip install '.[{extra}]'", 1
    except shutil.Error as error:  # a list of files that were not copied
        told, status = f'error: {error.args[0][0][2]}', 1
    except OSError as error:
        where = f': {error.filename}' if error.filename else ''
        told, status = f'error: {error.strerror or error}{where}', 1
        told = told.splitlines()[0][:500]
    except MemoryError:
        told, status = 'error: the memory is full: end other programs', 1
    except KeyboardInterrupt:
        told, status = '\ninterrupted; the last pages are still in place', 130
    print(told, file=sys.stderr)
    return status


def _parser(prog):
    def add_option(command, name, kind, metavar, default, told):
        told = f'{told} (default: {default})'
        command.add_argument(
            name, type=kind, metavar=metavar, default=default, help=told
        )

    path = pathlib.Path
    told = 'Makes the library, the pages and the notebooks from the chapters.'
    parser = argparse.ArgumentParser(prog=prog, description=told)
    told = 'the folder of the book'
    add_option(parser, '--chapters', path, 'DIR', path('chapters'), told)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    told = 'write the modules that the chapters save to'
    lib = commands.add_parser('lib', help=told)
    told = 'write nothing, but fail if one is out of date'
    lib.add_argument('--check', action='store_true', help=told)
    lib.set_defaults(run=_lib)
    told = 'the same, then run what changed and render all'
    chapter = commands.add_parser('chapter', help=told)
    chapter.set_defaults(run=_chapter)
    told = 'run the solutions that changed'
    solutions = commands.add_parser('solutions', help=told)
    solutions.set_defaults(run=_solutions)
    told = 'write the notebooks without outputs, and run nothing'
    notebooks = commands.add_parser('notebooks', help=told)
    notebooks.set_defaults(run=_notebooks)
    told = 'run what changed, and make a deck of slides of each chapter'
    slides = commands.add_parser('slides', help=told)
    told = 'where reveal.js lies, at any depth'
    add_option(slides, '--reveal', path, 'DIR', path('.venv-classroom'), told)
    slides.set_defaults(run=_slides)
    told = 'make graded notebooks, and let nbgrader grade two answers to each'
    graded = commands.add_parser('assignments', help=told)
    told = 'the folder of their sources'
    add_option(graded, '--sources', path, 'DIR', path('assignments'), told)
    graded.set_defaults(run=_assignments)
    for command in (chapter, solutions, slides):
        told = 'what one cell may take'
        add_option(command, '--timeout', int, 'SECONDS', 600, told)
    for command in (chapter, solutions, notebooks, slides, graded):
        told = 'where to write to'
        add_option(command, '--build', path, 'DIR', path('_build'), told)
    for command in (chapter, notebooks):
        told = 'leave out the solutions of the exercises'
        command.add_argument('--no-solutions', action='store_true', help=told)
    return parser


def _lib(options):
    _export(read_book(options.chapters), options.check)
    return 0


def _export(book, check=False):
    for path in export(book, check):
        print(f'wrote {path.parent.name}/{path.name}')


def _chapter(options):
    # Here, since the library is exported without the tools of the book.
    from d2l_gan.book.render import render

    book = read_book(options.chapters)
    _export(book)
    solved = _solved(book, options)  # what is wrong with them comes first
    chapters, outputs, seconds = _run(book, options)
    book = dataclasses.replace(book, chapters=chapters)
    render(book, outputs, options.build, sys.stderr, solved, seconds)
    page = (options.build / 'html' / 'index.html').resolve()
    print(f'Open {page.as_uri()}, or run {_lab(options.build)}')
    return 0


def _notebooks(options):
    from d2l_gan.book.render import write_notebooks

    book = read_book(options.chapters)
    write_notebooks(book, options.build, _solved(book, options))
    print(f'Run {_lab(options.build)}')
    return 0


def _lab(build):
    """The command that opens the notebooks."""
    jupyter = pathlib.Path(sys.executable).with_name('jupyter')
    return f'{os.path.relpath(jupyter)} lab {build / "notebooks"}'


def _solved(book, options):
    """The name of a chapter -> its solutions, and their outputs if known."""
    from d2l_gan.book.claims import refute
    from d2l_gan.book.execute import recall
    from d2l_gan.book.solutions import read_solutions

    solved = {}
    for solution in [] if options.no_solutions else read_solutions(book):
        known = recall(book, solution, options.build / 'cache')
        found, failed, _ = known or (None, {}, 0)
        name = solution.name.partition('/')[2]
        solved[name] = refute(solution, failed), found
    return solved


def _solutions(options):
    from d2l_gan.book.solutions import read_solutions

    book = read_book(options.chapters)
    _export(book)
    _run(dataclasses.replace(book, chapters=read_solutions(book)), options)
    return 0


def _run(book, options):
    """Run what changed; gives the chapters, and outputs and seconds by name.

    Claims that do not hold are errors, if the data are those of the book.
    """
    from d2l_gan.book.claims import refute
    from d2l_gan.book.execute import execute

    start = time.perf_counter()
    cache = options.build / 'cache'
    found = execute(book, cache, options.timeout, sys.stderr)
    chapters, outputs, seconds, errors, run = [], {}, {}, [], 0
    for chapter in book.chapters:
        name = chapter.name
        outputs[name], failed, seconds[name], cells = found[name]
        errors += [
            chapter.error(cell.line, f'"{cell.words}" is not true:\n{why}')
            for cell, why in failed.items()
        ]
        chapters.append(refute(chapter, failed))
        run += cells
    data = os.environ.get('D2L_GAN_DATASET') or 'digits'
    if errors and data == 'digits':
        raise BookError('\n'.join(map(str, errors)))
    # Of other data than those that it was written for a book may be wrong.
    for error in errors:
        print(f'with these data: {error}', file=sys.stderr)
    num_claims = sum(len(chapter.claims) for chapter in chapters)
    print(
        f'{run} cells run, {num_claims - len(errors)} of {num_claims} claims '
        f'hold, {time.perf_counter() - start:.1f} s'
    )
    return chapters, outputs, seconds


def _slides(options):
    from d2l_gan.book.slides import slides

    book = read_book(options.chapters)
    _, outputs, _ = _run(book, options)
    slides(book, outputs, options.build, options.reveal)
    page = (options.build / 'slides' / 'index.html').resolve()
    print(f'Open {page.as_uri()}')
    return 0


def _assignments(options):
    from d2l_gan.book.assignments import assignments

    assignments(options.sources, options.build / 'assignments')
    return 0


if __name__ == '__main__':
    sys.exit(main())
