"""Mends requests whose texts are not UTF-8, which protobuf refuses whole.

Go senders do not check: one process whose command line holds a byte of Latin-1 would make every scrape of its host
undecodable. A second set of descriptors, alike but for texts being bytes, reads such a request.
"""

from __future__ import annotations

import functools
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


def mended(body: bytes, kind: Any) -> bytes:
    """`body`, a message of descriptor `kind`, with U+FFFD for what is not UTF-8. Raises protobuf's DecodeError."""
    message = _with_bytes(kind)()
    message.ParseFromString(body)
    _mend(message, kind)
    return message.SerializeToString()


def _mend(message: Message, kind: Any) -> None:
    for field, value in message.ListFields():
        meant = kind.fields_by_name[field.name]
        if meant.message_type is not None:
            for inner in value if hasattr(value, "add") else (value,):
                _mend(inner, meant.message_type)
        elif meant.type == FieldDescriptorProto.TYPE_STRING:
            if isinstance(value, bytes):
                setattr(message, field.name, _text(value))
            else:
                value[:] = map(_text, value)


def _text(value: bytes) -> bytes:
    return value.decode("utf-8", "replace").encode()


@functools.cache
def _with_bytes(kind: Any) -> type[Message]:
    pool = DescriptorPool()
    _add(pool, kind.file)
    return GetMessageClass(pool.FindMessageTypeByName(kind.full_name))


def _add(pool: DescriptorPool, file: Any) -> None:
    """`file` and what it imports, each once, with bytes for texts."""
    for imported in file.dependencies:
        _add(pool, imported)
    copy = FileDescriptorProto()
    file.CopyToProto(copy)
    for message in copy.message_type:
        _texts_to_bytes(message)
    pool.Add(copy)


def _texts_to_bytes(message: Any) -> None:
    for field in message.field:
        if field.type == FieldDescriptorProto.TYPE_STRING:
            field.type = FieldDescriptorProto.TYPE_BYTES
    for inner in message.nested_type:
        _texts_to_bytes(inner)
