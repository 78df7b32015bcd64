"""The header of a GGUF file, read in pure Python: bounded in time and memory whatever the file holds.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The file is read, not mapped: a mapped file that
somebody truncates while it is read ends the process.
"""

from __future__ import annotations

import functools
import os
import re
import stat
import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn, TypeAlias

from understudy.errors import CallFailed
from understudy.types import Failure

BATCH = 128  # tokens a prompt is decoded in at once; small, so that a long prompt can be stopped in between

_CHUNK = 1 << 20
_HEADER_LIMIT = 64 << 20  # bytes; the largest vocabularies in use (260k tokens with merges) take about 12 MiB
_STRING_LIMIT = 1 << 20  # bytes of one text; chat templates are below 64 KiB
_COUNT_LIMIT = 1 << 20  # elements of one array of texts
_ENTRY_LIMIT = 1 << 16  # metadata entries, or tensors
_DEPTH_LIMIT = 4  # arrays inside arrays

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_CONTROL, _UNKNOWN = 3, 2  # tokenizer.ggml.token_type

# ggml type -> (elements, bytes) of one block, from ggml's type_traits table
BLOCKS: Mapping[int, tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
    24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54),
    35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip

_FOREIGN = (
    (b"version https://git-lfs", "a Git LFS pointer, not the model", "Fetch the real file: git lfs pull."),
    (b"PK\x03\x04", "a zip or PyTorch file", "Download the GGUF version of this model."),
    (b"tjgg", "in the old GGML format", "Download the GGUF version of this model."),
    (b"lmgg", "in the old GGML format", "Download the GGUF version of this model."),
    (b"<!DOCTYPE", "a web page", "Download the file itself, not the page that describes it."),
    (b"<html", "a web page", "Download the file itself, not the page that describes it."),
)
_NO_TEXT = frozenset({"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "clip", "t5encoder"})
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


@dataclass(frozen=True, slots=True)
class Header:
    """What a model file says of itself. Lengths are in elements, `size` in bytes (all shards together)."""

    path: Path
    size: int
    architecture: str
    name: str
    context: int  # tokens the model was trained for
    layers: int
    embedding: int
    kv_heads: tuple[int, ...]  # one per layer
    key_length: int
    value_length: int
    vocab_size: int
    chat_template: str | None = field(repr=False)
    control_tokens: tuple[str, ...] = field(repr=False)

    def memory(self, context: int, batch: int = BATCH) -> int:
        """Bytes a loaded model takes: weights, key-value cache (two bytes a number) and the logits of one batch.

        Predicted 177 and 312 MB where 180 and 309 were measured.
        """
        cache = context * sum(self.kv_heads) * (self.key_length + self.value_length) * 2
        return self.size + cache + batch * max(self.vocab_size, 4 * self.embedding) * 4


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a model file, from memory if path, size and time of change are as before.

    Raises CallFailed(UNAVAILABLE) with the remedy: missing, unreadable, foreign, truncated or broken file.
    """
    place = Path(path).expanduser()
    try:
        seen = os.stat(place)
    except (OSError, ValueError) as error:
        _unreadable(place, error)
    if not stat.S_ISREG(seen.st_mode):
        what = "a folder" if stat.S_ISDIR(seen.st_mode) else "no regular file"
        _refuse(place, f"is {what}", "Give the path of the .gguf file itself.")
    return _read(place, seen.st_size, seen.st_mtime_ns, seen.st_ino)


def _refuse(path: Path, what: str, remedy: str) -> NoReturn:
    raise CallFailed(Failure.UNAVAILABLE, f"The model file {path} {what}.", remedy=remedy, charged=False)


def _unreadable(path: Path, error: OSError | ValueError) -> NoReturn:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        _refuse(path, "does not exist", "Download it, or correct the path in the configuration.")
    if isinstance(error, PermissionError):
        _refuse(path, "may not be read by you", f"Make it readable: chmod u+r {path}")
    _refuse(path, f"cannot be read ({type(error).__name__})", "Check the path and the disk.")


class _Broken(Exception):
    """The file is not what it says. The text completes "The model file X ..."."""


class _Cursor:
    """A position in a file of which only what is needed has been read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.data = bytearray()
        self.at = 0

    def need(self, count: int) -> None:
        """Have `count` bytes after the position. Raises _Broken at the end of the file or of the patience."""
        end = self.at + count
        if end <= len(self.data):
            return
        if end > _HEADER_LIMIT:
            raise _Broken("has an impossible header")
        while len(self.data) < end:
            more = self._file.read(_CHUNK)
            if not more:
                raise _Broken("ends in the middle of its header")
            self.data += more

    def number(self, code: str) -> int | float | bool:
        size = struct.calcsize("<" + code)
        self.need(size)
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += size
        return value

    def count(self, limit: int, what: str) -> int:
        value = int(self.number("Q"))
        if value > limit:
            raise _Broken(f"claims {value:,} {what}")
        return value

    def text(self) -> str:
        length = self.count(_STRING_LIMIT, "bytes of one text")
        self.need(length)
        raw = bytes(self.data[self.at : self.at + length])
        self.at += length
        return raw.decode("utf-8", "replace")

    def texts(self, count: int) -> array[int]:
        """Step over `count` texts; where each begins."""
        starts = array("Q")
        data, at, unpack = self.data, self.at, struct.Struct("<Q").unpack_from
        for _ in range(count):
            if at + 8 > len(data):
                self.at = at
                self.need(8)
            starts.append(at)
            at += 8 + unpack(data, at)[0]
            if at > _HEADER_LIMIT:
                raise _Broken("has an impossible header")
        self.at = at
        self.need(0)
        return starts


_Value: TypeAlias = "int | float | bool | str | array[int] | array[float] | None"


def _value(cursor: _Cursor, kind: int, depth: int = 0) -> _Value:
    """One metadata value. Arrays of texts come as positions, arrays of arrays are stepped over."""
    if kind in _SCALARS:
        return cursor.number(_SCALARS[kind])
    if kind == _STRING:
        return cursor.text()
    if kind != _ARRAY or depth >= _DEPTH_LIMIT:
        raise _Broken(f"holds a value of unknown type {kind}")
    inner = int(cursor.number("I"))
    if inner in _SCALARS:
        code = "B" if _SCALARS[inner] == "?" else _SCALARS[inner]
        count = cursor.count(_HEADER_LIMIT, "numbers in one list")
        size = count * struct.calcsize("<" + code)
        cursor.need(size)
        numbers: array[int] | array[float] = array(code)
        numbers.frombytes(cursor.data[cursor.at : cursor.at + size])
        cursor.at += size
        return numbers
    count = cursor.count(_COUNT_LIMIT, "texts in one list")
    if inner == _STRING:
        return cursor.texts(count)
    for _ in range(count):
        _value(cursor, inner, depth + 1)
    return None


@functools.lru_cache(maxsize=32)
def _read(path: Path, size: int, _changed: int, _inode: int) -> Header:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:
            return _parse(path, size, _Cursor(file))
    except OSError as error:
        _unreadable(path, error)
    except _Broken as error:
        _refuse(path, str(error), "Download it again; the file is damaged or incomplete.")


def _parse(path: Path, size: int, cursor: _Cursor) -> Header:
    _check_magic(path, size, cursor)
    tensors = cursor.count(_ENTRY_LIMIT, "tensors")
    entries = cursor.count(_ENTRY_LIMIT, "entries")
    known: dict[str, _Value] = {}
    for _ in range(entries):
        key = cursor.text()
        known[key] = _value(cursor, int(cursor.number("I")))
    _check_kind(path, known, tensors)
    _check_tensors(cursor, size, tensors, _whole(known, "general.alignment", 32, 1, 1 << 20))
    architecture = str(known.get("general.architecture", ""))

    def whole(name: str, default: int | None = None, *, most: int = 1 << 24) -> int:
        return _whole(known, f"{architecture}.{name}", default, 1, most)

    layers, embedding = whole("block_count", most=1 << 14), whole("embedding_length")
    heads = _per_layer(known, f"{architecture}.attention.head_count", layers, 1)
    kv_heads = _per_layer(known, f"{architecture}.attention.head_count_kv", layers, max(heads))
    width = max(1, embedding // max(1, *heads))
    tokens = known.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, array) or not len(tokens):
        raise _Broken("has no vocabulary")
    template = known.get("tokenizer.chat_template")
    return Header(
        path=path,
        size=_all_shards(path, size, _whole(known, "split.count", 1, 0, 99_999)),
        architecture=architecture,
        name=str(known.get("general.name") or path.stem)[:200],
        context=whole("context_length", most=1 << 31),
        layers=layers,
        embedding=embedding,
        kv_heads=kv_heads,
        key_length=whole("attention.key_length", width),
        value_length=whole("attention.value_length", width),
        vocab_size=len(tokens),
        chat_template=template if isinstance(template, str) else None,
        control_tokens=_control_tokens(cursor, tokens, known.get("tokenizer.ggml.token_type")),
    )


def _check_magic(path: Path, size: int, cursor: _Cursor) -> None:
    if not size:
        raise _Broken("is empty")
    cursor.need(min(size, 24))
    head = bytes(cursor.data[:24])
    for magic, what, remedy in _FOREIGN:
        if head.startswith(magic):
            _refuse(path, f"is {what}", remedy)
    if head[:4] != b"GGUF":
        _refuse(path, "is not in the GGUF format", "Download the GGUF version of this model.")
    cursor.at = 4
    version = int(cursor.number("I"))
    if version & 0xFFFF == 0:
        _refuse(path, "is a big-endian GGUF file", "Download the usual little-endian version.")
    if version not in (2, 3):
        _refuse(path, f"has GGUF version {version}; 2 and 3 are known", "Convert it, or download another version.")


def _check_kind(path: Path, known: Mapping[str, _Value], tensors: int) -> None:
    architecture = known.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise _Broken("names no architecture")
    if known.get("general.type", "model") == "adapter":
        _refuse(path, "is an adapter (LoRA), not a model", "Give the base model's file.")
    if architecture in _NO_TEXT or known.get("general.type") == "mmproj":
        _refuse(path, f"holds {architecture}, which writes no text", "Give a language model's file.")
    if not tensors:
        _refuse(path, "holds a vocabulary only, no weights", "Give a language model's file.")


def _check_tensors(cursor: _Cursor, size: int, count: int, alignment: int) -> None:
    """The data of every tensor must lie inside the file, or the download was cut short."""
    end = 0
    for _ in range(count):
        cursor.text()
        dimensions = int(cursor.number("I"))
        if dimensions > 8:
            raise _Broken("describes an impossible tensor")
        elements = 1
        for _ in range(dimensions):
            elements *= int(cursor.number("Q"))
        elements_a_block, bytes_a_block = BLOCKS.get(int(cursor.number("I")), (1, 0))
        end = max(end, int(cursor.number("Q")) + elements // elements_a_block * bytes_a_block)
    start = -(-cursor.at // alignment) * alignment
    if start + end > size:
        raise _Broken(f"is cut short: {size:,} bytes of {start + end:,}")


def _whole(known: Mapping[str, _Value], key: str, default: int | None, least: int, most: int) -> int:
    value = known.get(key, default)
    if not isinstance(value, int) or not least <= value <= most:
        raise _Broken(f"has {'no' if value is None else 'an impossible'} {key}")
    return value


def _per_layer(known: Mapping[str, _Value], key: str, layers: int, default: int) -> tuple[int, ...]:
    """A count that is one number, or one number a layer (hybrid models, where 0 is a layer without attention)."""
    value = known.get(key, default)
    if isinstance(value, array):
        numbers = [int(v) for v in value[:layers]]
        if len(numbers) == layers and all(0 <= n <= 1 << 16 for n in numbers):
            return tuple(numbers)
        raise _Broken(f"has an impossible {key}")
    return (_whole(known, key, default, 0, 1 << 16),) * layers


def _control_tokens(cursor: _Cursor, starts: array[int] | array[float], types: _Value) -> tuple[str, ...]:
    if not isinstance(types, array):
        return ()
    found: list[str] = []
    for start, kind in zip(starts, types, strict=False):
        if kind in (_CONTROL, _UNKNOWN):
            cursor.at = int(start)
            found.append(cursor.text())
    return tuple(found)


def _all_shards(path: Path, size: int, count: int) -> int:
    """The bytes of a model that lies in several files; llama.cpp is given the first and finds the others."""
    if count <= 1:
        return size
    match = _SHARD.search(path.name)
    if not match or int(match[1]) != 1:
        _refuse(path, f"is one part of {count}", "Give the first part, named ...-00001-of-000NN.gguf.")
    for number in range(2, count + 1):
        part = path.with_name(path.name[: match.start()] + f"-{number:05}-of-{count:05}.gguf")
        try:
            size += part.stat().st_size
        except OSError as error:
            _unreadable(part, error)
    return size
