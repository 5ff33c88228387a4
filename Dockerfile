# JupyterLab with the book, on Python 3.11; see docs/installing.md.

FROM python:3.11-slim-bookworm AS base
# MXNet's wheel needs libgomp; make and git are for the targets.
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libgomp1 make \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --shell /bin/bash --uid 1000 reader
USER reader

FROM base
# Made by the user, who then may write to it
RUN mkdir /home/reader/d2l_gan
WORKDIR /home/reader/d2l_gan
COPY --chown=reader . .
RUN PIP_NO_CACHE_DIR=1 make notebooks
EXPOSE 8888
CMD [".venv/bin/jupyter", "lab", "--ip=0.0.0.0", "--no-browser", \
     "_build/notebooks"]
