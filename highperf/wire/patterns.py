"""What a route's pattern means: `/users/:id`, `/files/*path`, and their twins in braces.

Owns the grammar of patterns and the words for its faults; knows no tree and no methods. Runs
when routes are registered, never for a request.

    pattern   = 1*( "/" segment )
    segment   = literal | parameter | catch-all
    parameter = ":" name | "{" name "}"             one whole segment, not empty
    catch-all = "*" name | "{" name ":path}"        the rest, may be empty, last only

A name is a Python identifier. A literal is compared with the decoded path, so it is written
decoded as well; none of the characters that mark parameters may stand in it.
"""

from typing import NamedTuple, NoReturn

PARAMS_MAX = 16


class Pattern(NamedTuple):
    text: str  # canonical: /users/:id, /files/*path
    shape: str  # the text without names: equal for patterns that match the same paths
    names: tuple[str, ...]
    pieces: tuple[bytes | None, ...]  # literal octets, None for a parameter
    catch_all: bool  # the last name takes the rest of the path


def parse_pattern(source: str) -> Pattern:
    """Read a pattern in either spelling; ValueError names the pattern and its fault."""
    if not source.startswith("/"):
        _refuse(source, "it must begin with '/'")
    for character, word in ("\0", "NUL"), ("?", "'?'"), ("#", "'#'"):
        if character in source:
            _refuse(source, f"{word} cannot occur in a path")
    names: list[str] = []
    text: list[str] = []
    shape: list[str] = []
    segments = source[1:].split("/")
    for index, segment in enumerate(segments):
        mark, word = _read_segment(source, segment)
        if mark == "*" and index != len(segments) - 1:
            _refuse(source, f"catch-all {segment!r} must be its last segment")
        if mark:
            names.append(word)
        text.append(mark + word)
        shape.append(mark or word)
    if len(names) > PARAMS_MAX:
        _refuse(source, f"it has {len(names)} parameters, {PARAMS_MAX} are possible")
    for name in names:
        if names.count(name) > 1:
            _refuse(source, f"parameter name {name!r} occurs twice")
    canonical_shape = "/" + "/".join(shape)
    return Pattern(
        "/" + "/".join(text),
        canonical_shape,
        tuple(names),
        _pieces_of(source, canonical_shape),
        canonical_shape.endswith("/*"),
    )


def _read_segment(source: str, segment: str) -> tuple[str, str]:
    """(mark, name) of a parameter, ("", literal) of anything else."""
    mark, name = "", segment
    if segment[:1] in (":", "*"):
        mark, name = segment[0], segment[1:]
    elif segment.startswith("{") and segment.endswith("}"):
        name, colon, converter = segment[1:-1].partition(":")
        mark = "*" if colon else ":"
        if colon and converter != "path":
            _refuse(source, f"{segment!r} asks for converter {converter!r}, only 'path' exists")
    if mark and not name:
        _refuse(source, f"{segment!r} has no parameter name")
    if any(character in name for character in ":*{}"):
        _refuse(source, f"a parameter must be a whole segment, which {segment!r} is not")
    if mark and not name.isidentifier():
        _refuse(source, f"parameter name {name!r} is not an identifier")
    return mark, name


def _pieces_of(source: str, shape: str) -> tuple[bytes | None, ...]:
    # ":" and "*" cannot stand in a literal, so in a shape they are parameters.
    pieces: list[bytes | None] = []
    for index, literal in enumerate(shape.removesuffix("*").split(":")):
        if index:
            pieces.append(None)
        if literal:
            try:
                pieces.append(literal.encode())
            except UnicodeEncodeError:
                _refuse(source, "it has a lone surrogate, which is no text")
    return tuple(pieces)


def _refuse(source: str, fault: str) -> NoReturn:
    raise ValueError(f"pattern {source!r}: {fault}")
