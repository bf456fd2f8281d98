"""Pictures that need the program `dot` of Graphviz: PNG and PDF."""

from __future__ import annotations

from lineage.errors import ConfigError, LineageError, MissingDependencyError

IMAGES = ("png", "pdf")


def to_image(dot: str, form: str) -> bytes:
    """Let `dot` draw DOT in one of the forms of `IMAGES`.

    Raises:
        ConfigError: No such form.
        MissingDependencyError: Graphviz is not installed; the message says how to get it.
        LineageError: `dot` failed; the message has its words.
    """
    if form not in IMAGES:
        raise ConfigError(f"no image in the format {form!r}; known are {', '.join(IMAGES)}")
    try:
        import graphviz
    except ImportError as error:
        raise MissingDependencyError(
            f"a {form.upper()} needs the package graphviz: pip install graphviz; "
            "SVG and HTML need nothing"
        ) from error
    try:
        image: bytes = graphviz.Source(dot).pipe(format=form, quiet=True)
    except graphviz.ExecutableNotFound as error:
        raise MissingDependencyError(
            f"a {form.upper()} needs the program 'dot' of Graphviz on the PATH: "
            "`apt install graphviz`, `brew install graphviz`, `conda install graphviz` or "
            "https://graphviz.org/download; SVG and HTML need nothing"
        ) from error
    except graphviz.CalledProcessError as error:
        raise LineageError(f"'dot' could not make the {form.upper()}: {error}") from error
    return image
