"""The bytes of a WebSocket frame, part by part, as RFC 6455 lays them out in section 5.2.

Parsed by hand here, so that it can be read beside the RFC; a server leaves it to its library.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from chatlib.lab.words import DOTS, SHOWN_BYTES, close_name, count, elided, quoted

OPCODES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
HEADINGS = ("byte", "on the wire", "part", "meaning")

Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        start: the position of its first byte in what `anatomy` was given.
        size: how many bytes it takes, header and all.
        fin: whether it is the last frame of its message.
        rsv: the three reserved bits; 0 unless an extension, such as compression, uses them.
        opcode: what kind of frame it is; `name` says it in a word.
        mask: the masking key, or None for a frame that is not masked, as a server's are.
        length: of the payload, in bytes.
        payload: unmasked.
    """

    start: int
    size: int
    fin: bool
    rsv: int
    opcode: int
    mask: bytes | None
    length: int
    payload: bytes

    @property
    def masked(self) -> bool:
        return self.mask is not None

    @property
    def name(self) -> str:
        """The opcode in a word."""
        return OPCODES.get(self.opcode, "reserved")

    @property
    def text(self) -> str | None:
        """The payload of a text frame; None for any other, and for one that is compressed."""
        if self.name != "text" or self.rsv:
            return None
        return self.payload.decode(errors="backslashreplace")

    @property
    def code(self) -> int | None:
        """The code of a close frame; None for any other, and for one that carries none."""
        if self.name != "close" or self.length < 2:
            return None
        return int.from_bytes(self.payload[:2])

    @property
    def reason(self) -> str | None:
        """The reason in a close frame with a code; None for any other."""
        return None if self.code is None else self.payload[2:].decode(errors="backslashreplace")


class Anatomy:
    """Frames, with every part of theirs named and lined up. Jupyter shows it as a table.

    Attributes:
        frames: a tuple of `Frame`, in the order in which they came.
    """

    def __init__(self, data: bytes, frames: tuple[Frame, ...]) -> None:
        self.data = data
        self.frames = frames

    def __repr__(self) -> str:
        tables = [[HEADINGS, *rows(frame, self.data)] for frame in self.frames]
        widths = [max(len(row[i]) for table in tables for row in table) for i in range(3)]
        return "\n\n".join(
            f"{title}\n\n" + "\n".join(lined_up(row, widths) for row in table)
            for title, table in zip(self.titles(), tables, strict=True)
        )

    def _repr_html_(self) -> str:
        return "".join(
            html_table(title, rows(frame, self.data))
            for title, frame in zip(self.titles(), self.frames, strict=True)
        )

    def titles(self) -> Iterator[str]:
        """Yield a line for each frame that says what it is."""
        for number, frame in enumerate(self.frames, 1):
            which = f"Frame {number} of {len(self.frames)}: " if len(self.frames) > 1 else ""
            sender = "masked, as a client" if frame.masked else "not masked, as a server"
            yield f"{which}{frame.name} frame, {count(frame.size)}, {sender} sends it"


def anatomy(data: bytes) -> Anatomy:
    """Take apart the bytes of one or more WebSocket frames, from either side.

    Raises:
        ValueError: the bytes end within a frame, or are HTTP and no frame.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"anatomy() takes the bytes of a frame; got {data!r}")
    data = bytes(data)
    if not data:
        raise ValueError("there are no bytes here; the smallest frame has 2")
    if data.startswith((b"HTTP/", b"GET ")):
        raise ValueError("this is HTTP; the frames begin after its empty line, b'\\r\\n\\r\\n'")
    frames: list[Frame] = []
    start = 0
    while start < len(data):
        frames.append(parse(data, start, f"frame {len(frames) + 1}"))
        start += frames[-1].size
    return Anatomy(data, tuple(frames))


def parse(data: bytes, start: int, what: str) -> Frame:
    """Return the frame that begins at `start`."""
    position = start

    def take(size: int, at_least: str = "") -> bytes:
        nonlocal position
        position += size
        if position > len(data):
            raise ValueError(
                f"{what} is incomplete: {count(len(data) - start)} came, "
                f"{at_least}{position - start:,} were expected"
            )
        return data[position - size : position]

    first, second = take(2, "at least ")
    masked, length = bool(second & 0b1000_0000), second & 0b0111_1111
    if length == 126:
        length = int.from_bytes(take(2, "at least "))
    elif length == 127:
        length = int.from_bytes(take(8, "at least "))
    mask = take(4, "at least ") if masked else None
    payload = take(length)
    return Frame(
        start=start,
        size=position - start,
        fin=bool(first & 0b1000_0000),
        rsv=first >> 4 & 0b0111,
        opcode=first & 0b0000_1111,
        mask=mask,
        length=length,
        payload=payload if mask is None else unmask(payload, mask),
    )


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Combine each byte with one of the key's four, in turn. Masking again undoes it."""
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def rows(frame: Frame, data: bytes) -> Iterator[Row]:
    """Yield the parts of `frame`: which bytes, what they are on the wire, a name, a meaning."""
    first, second = data[frame.start : frame.start + 2]
    last_or_not = "1: the last frame of its message" if frame.fin else "0: more frames follow"
    rsv = (
        "0 0 0: no extension is at work"
        if not frame.rsv
        else (f"{' '.join(f'{frame.rsv:03b}')}: an extension is at work, such as compression")
    )
    yield f"{frame.start}", f"{first:02x}  {bits(first, 0, 1)}", "FIN", last_or_not
    yield "", f"    {bits(first, 1, 4)}", "RSV1, RSV2, RSV3", rsv
    yield "", f"    {bits(first, 4, 8)}", "opcode", f"{frame.opcode}: {frame.name}"
    position = frame.start + 1
    mask_or_not = "1: the payload is masked" if frame.masked else "0: the payload is not masked"
    yield f"{position}", f"{second:02x}  {bits(second, 0, 1)}", "MASK", mask_or_not
    short = second & 0b0111_1111
    extended = {126: 2, 127: 8}.get(short, 0)
    meaning = f"{short}: the next {extended} bytes say" if extended else count(short)
    yield "", f"    {bits(second, 1, 8)}", "payload length", meaning
    position += 1
    if extended:
        size = data[position : position + extended]
        yield span(position, extended), size.hex(" "), "extended length", count(frame.length)
        position += extended
    if frame.mask is not None:
        yield span(position, 4), frame.mask.hex(" "), "masking key", "new for each frame"
        position += 4
    if not frame.length:
        return
    if frame.mask is not None:
        masked = data[position : position + frame.length]
        key = (frame.mask * (SHOWN_BYTES // 4 + 1))[: frame.length]
        key_again = f"{elided(key[:SHOWN_BYTES])}{f' {DOTS}' if len(key) > SHOWN_BYTES else ''}"
        yield span(position, frame.length), elided(masked), "masked payload", "what travels"
        yield "", key_again, "XOR the key", "its four bytes, again and again"
        yield "", elided(frame.payload), "= payload", meaning_of(frame)
    else:
        where = span(position, frame.length)
        yield where, elided(frame.payload), "payload", meaning_of(frame)
    if frame.code is not None:
        named = f"{frame.code}: {close_name(frame.code)}"
        yield "", frame.payload[:2].hex(" "), "close code", named
    if frame.reason:
        yield "", elided(frame.payload[2:]), "reason", quoted(frame.reason)


def meaning_of(frame: Frame) -> str:
    """Return what the payload says, in a few words."""
    if frame.text is not None:
        return quoted(frame.text)
    if frame.name == "text":
        return f"{count(frame.length)}, which the extension has to read first"
    if frame.code is None:
        return count(frame.length)
    return "the close code, then the reason" if frame.reason else "the close code"


def bits(byte: int, start: int, stop: int) -> str:
    """Return the eight bits of `byte`, with dots for those not in `start` to `stop`."""
    shown = "".join(bit if start <= i < stop else "." for i, bit in enumerate(f"{byte:08b}"))
    return f"{shown[:4]} {shown[4:]}"


def span(start: int, size: int) -> str:
    """Return the positions of `size` bytes from `start` on."""
    return f"{start}" if size == 1 else f"{start}-{start + size - 1}"


def lined_up(row: Row, widths: list[int]) -> str:
    """Return a row of the plain table."""
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
    return "   ".join([*cells, row[3]]).rstrip()


def html_table(title: str, parts: Iterator[Row]) -> str:
    """Return a table in the colours of the page it stands in."""
    left = 'style="text-align: left; white-space: pre"'
    head = "".join(f'<th scope="col" {left}>{heading}</th>' for heading in HEADINGS)
    body = "".join(
        f"<tr><td {left}>{byte}</td><td {left}><code>{wire}</code></td>"
        f'<th scope="row" {left}>{part}</th><td {left}>{escape(meaning)}</td></tr>'
        for byte, wire, part, meaning in parts
    )
    return (
        f'<table><caption style="text-align: left">{escape(title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
