"""From the chapters to the library, the notebooks and the pages.

    read      chapters in d2l markdown
    marks     d2l's marks, as MyST and as plain markdown
    export    the `#@save` cells, as modules
    execute   the cells, in a kernel, with a cache
    render    pages by Sphinx, and notebooks to read

`python -m d2l_gan.book --help` is what the Makefile calls.
"""
