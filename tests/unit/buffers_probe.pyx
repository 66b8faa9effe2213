# The C-level interface of wire/buffers, for test_buffers.py.

from highperf.wire.buffers cimport Buffer, BufferPool


def reserve(Buffer buffer, Py_ssize_t extra):
    buffer.reserve_c(extra)


def append(Buffer buffer, bytes data, Py_ssize_t count):
    buffer.append_c(data, count)


def forget(BufferPool pool, Buffer buffer):
    pool.forget_c(buffer)
