"""From the chapters to the library, the notebooks and the pages.

    markdown    the parser of d2l markdown, for the next three
    read        chapters, cut into cells
    marks       d2l's marks, as MyST and as plain markdown
    export      the `#@save` cells, as modules
    solutions   of the exercises, folded behind them
    execute     the cells, in a kernel, with a cache
    pictures    words for them, and notebooks with them
    references  the works that are cited
    render      pages by Sphinx, and notebooks to read
    slides      a deck a chapter, by reveal.js
    assignments graded notebooks, by nbgrader

`python -m d2l_gan.book --help` is what the Makefile calls.
"""
