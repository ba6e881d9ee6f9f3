"""The bytes of a text file -> its lines, whatever wrote them: gzip, encodings, line ends, holes after a power cut.

    file ─ gzip? ─► bytes ─ UTF-8, UTF-16 or Windows-1252 ─► text ─ CR, LF, CRLF ─► lines

Reads once from the front, so that a pipe will do. A run of NUL bytes, which a file system leaves where a power cut caught a
logger, becomes a line of its own: HOLE.
"""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edge_ae.errors import BadData

HOLE = "\0"
CHUNK_BYTES = 1 << 18
LONGEST_LINE = 1 << 22  # characters; a file without line ends is no table
GZIP = b"\x1f\x8b"
FOREIGN = (
    (b"PK\x03\x04", "is an Excel workbook or another ZIP archive; save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an Excel workbook; save it as CSV"),
    (b"PAR1", "is a Parquet file without that ending in its name; call it .parquet, which edge-ae-train reads"),
    (b"%PDF", "is a PDF; save the recording as CSV"),
    (b"SQLite format 3\0", "is a database; export the recording as CSV"),
)
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HOLES = re.compile("\0+")

Progress = Callable[[int, int], None]


def quiet(_done: int, _all: int) -> None:
    """The progress that nobody looks at."""


class LineSource:
    """The lines of one open file. `encoding` and `ended` (whether the last line had an end) are known as far as it was read."""

    def __init__(self, path: Path, raw: IO[bytes], progress: Progress) -> None:
        self.encoding = "utf-8"
        self.ended = True
        self._path, self._raw, self._progress = path, raw, progress
        self._size = path.stat().st_size if path.is_file() else 0

    def lines(self) -> Iterator[str]:
        """Without their ends."""
        rest, number = "", 1
        for chunk in self._chunks():
            *lines, rest = (rest + chunk).split("\n")
            yield from lines
            number += len(lines)
            if len(rest) > LONGEST_LINE:
                raise BadData(
                    f"{self._path}, line {number}: has no end within {LONGEST_LINE:,} characters; is this CSV?"
                )
        self.ended = rest == ""
        if rest:
            yield rest

    def _chunks(self) -> Iterator[str]:
        plain = _opened_bytes(self._raw)
        head = plain.peek(CHUNK_BYTES)
        for signature, sentence in FOREIGN:
            if head.startswith(signature):
                raise BadData(f"{self._path}: {sentence}")
        self.encoding = _encoding_of(head)
        decoder = _TextDecoder(self)
        while data := plain.read(CHUNK_BYTES):
            yield _HOLES.sub(f"\n{HOLE}\n", decoder.decode(data))
            self._progress(self._raw.tell() if self._size > 0 else 0, self._size)
        yield decoder.decode(b"", final=True)


class _TextDecoder:
    """Bytes to text with line ends of "\\n" alone. UTF-8 that turns out to be none is Windows-1252 from there on."""

    def __init__(self, source: LineSource) -> None:
        self._source = source
        self._decoder = _newlines(source.encoding, "strict")

    def decode(self, data: bytes, final: bool = False) -> str:
        cut_off, _ = self._decoder.getstate()  # the first bytes of a character whose others are in `data`
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError:
            if not self._source.encoding.startswith("utf-8"):
                raise
        self._source.encoding = "windows-1252"
        self._decoder = _newlines("cp1252", "edge_ae.latin_1")
        return self._decoder.decode(cut_off + data, final)


def _newlines(encoding: str, errors: str) -> io.IncrementalNewlineDecoder:
    return io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(errors), translate=True)


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    """Windows-1252 leaves five bytes open, which are those of Latin-1 then."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("edge_ae.latin_1", _as_latin_1)


def _encoding_of(head: bytes) -> str:
    for mark, encoding in BOMS:
        if head.startswith(mark):
            return encoding
    sample = head[: len(head) // 2 * 2][:4096]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if len(sample) >= 8 and max(even, odd) > 0.6 * len(sample) / 2 and min(even, odd) < 0.1 * len(sample) / 2:
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8"


def _opened_bytes(raw: IO[bytes]) -> io.BufferedReader:
    assert isinstance(raw, io.BufferedReader)
    if not raw.peek(2).startswith(GZIP):
        return raw
    return io.BufferedReader(gzip.GzipFile(fileobj=raw), CHUNK_BYTES)


@contextmanager
def opened(path: Path, progress: Progress = quiet) -> Iterator[LineSource]:
    """The file's lines; whatever goes wrong in reading them is a BadData of one sentence."""
    try:
        with path.open("rb", buffering=CHUNK_BYTES) as raw:
            yield LineSource(path, raw, progress)
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: is no text in {error.encoding} ({error.reason}); save it as CSV in UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadData(f"{path}: is a broken gzip file ({error})") from None
    except IsADirectoryError:
        raise BadData(f"{path}: is a folder; name one of the recordings in it") from None
    except OSError as error:
        raise BadData(f"{path}: cannot be read ({error.strerror or error})") from None
