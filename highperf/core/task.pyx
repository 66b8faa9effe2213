# Owns the driving of one coroutine. Must not know requests or answers.
#
# asyncio.Task needs a turn of the loop before its first step, and most handlers finish in that
# step. A StepTask runs it at once, as the current task and inside a context of its own; only a
# coroutine that really waits is registered with asyncio, and from then on goes on like any task.
# What asyncio, TaskGroup, timeout() and anyio ask of a task is here: current_task, cancel /
# cancelling / uncancel, done callbacks, weak references, _must_cancel and _fut_waiter.
#
# Rules:
# - begin_c is called from a callback of the running loop, outside of any other task.
# - begin_c enters the context itself; later steps are called by the loop inside of it.
# - Semantics are those of CPython's Task.__step; uncancel clears _must_cancel as 3.13 does.

cimport cython
from cpython.object cimport PyObject

import asyncio
import itertools
from asyncio import base_tasks, tasks

cdef extern from *:
    """
    static inline int hp_is_awaitable(PyObject* value) {
        PyAsyncMethods* methods = Py_TYPE(value)->tp_as_async;
        return methods != NULL && methods->am_await != NULL;
    }
    """
    bint hp_is_awaitable(object value)

cdef extern from "Python.h":
    int PYGEN_RETURN
    int PYGEN_ERROR
    int PYGEN_NEXT
    int PyIter_Send(PyObject* iterator, PyObject* value, PyObject** result)
    bint PyCoro_CheckExact(object value)
    object PyContext_CopyCurrent()
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1
    PyObject* Py_None
    void Py_DECREF(PyObject* value)

cdef object enter_task = tasks._enter_task
cdef object leave_task = tasks._leave_task
cdef object register_task = tasks._register_task
cdef object unregister_task = tasks._unregister_task
cdef object CancelledError = asyncio.CancelledError
cdef object InvalidStateError = asyncio.InvalidStateError
cdef object next_number = itertools.count(1).__next__


async def await_any(awaitable):
    # Gives PyIter_Send a coroutine where a handler handed back some other awaitable.
    return await awaitable


cdef int reraise() except -1:
    return -1                   # the exception is already set


cdef object take_exception():
    try:
        reraise()
    except BaseException as error:
        return error


cdef class StepTask:
    # ---- driving ------------------------------------------------------------------------------

    cdef int begin_c(self, object function, object argument) except -1:
        # Calls function(argument) in a fresh context; drives what it returns if that can wait.
        cdef object context = PyContext_CopyCurrent()
        self._context = context
        PyContext_Enter(context)
        try:
            result = function(argument)
            if PyCoro_CheckExact(result):
                self._coro = result
            elif hp_is_awaitable(result):
                self._coro = await_any(result)
            else:
                self._coro = self.returned_c(result)
                if self._coro is None:
                    self.settle_c(TASK_RETURNED, result)
        except BaseException as error:
            self.raised_c(error)
            self.settle_c(TASK_RAISED, error)
        else:
            if self._coro is not None:
                self.step_c(None)
        finally:
            PyContext_Exit(context)
        return 0

    cdef int step_c(self, object error) except -1:
        # Runs until the coroutine waits or ends; returned_c may hand out another to go on with.
        cdef PyObject* value = NULL
        cdef object outcome
        cdef int verdict
        if self._must_cancel:
            if not isinstance(error, CancelledError):
                error = self.make_cancelled_error()
            self._must_cancel = False
        self._fut_waiter = None
        while True:
            enter_task(self._loop, self)
            if error is None:
                verdict = PyIter_Send(<PyObject*>self._coro, Py_None, &value)
                if verdict == PYGEN_ERROR:
                    outcome = take_exception()
                else:
                    outcome = <object>value
                    Py_DECREF(value)
            else:
                verdict, outcome = self.throw_c(error)
                error = None
            leave_task(self._loop, self)
            if verdict == PYGEN_NEXT:
                return self.wait_c(outcome)
            if not self.go_on_c(verdict, outcome):
                return 0

    cdef bint go_on_c(self, int verdict, object outcome) except -1:
        # The coroutine has ended. Whether returned_c handed out another to go on with.
        if verdict != PYGEN_ERROR and self._must_cancel:
            verdict, outcome = PYGEN_ERROR, self.make_cancelled_error()
        if verdict != PYGEN_ERROR:
            try:
                self._coro = self.returned_c(outcome)
            except BaseException as failure:
                verdict, outcome = PYGEN_ERROR, failure
        if verdict == PYGEN_ERROR:
            self._coro = None
            self.raised_c(outcome)
            self.settle_c(TASK_CANCELLED if isinstance(outcome, CancelledError) else TASK_RAISED, outcome)
        elif self._coro is None:
            self.settle_c(TASK_RETURNED, outcome)
        return self._coro is not None

    cdef object throw_c(self, object error):
        try:
            return PYGEN_NEXT, self._coro.throw(error)
        except StopIteration as stop:
            return PYGEN_RETURN, stop.value
        except BaseException as raised:
            return PYGEN_ERROR, raised

    cdef int wait_c(self, object awaited) except -1:
        cdef object problem = None
        if awaited is None:                             # a bare yield: asyncio.sleep(0)
            self._loop.call_soon(self._step, None, context=self._context)
        elif not getattr(awaited, "_asyncio_future_blocking", False):
            problem = f"a handler's coroutine yielded {awaited!r}, which is no future"
        elif awaited is self:
            problem = "a task cannot await itself"
        elif awaited.get_loop() is not self._loop:
            problem = f"{awaited!r} belongs to another event loop"
        else:
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(self._wakeup, context=self._context)
            self._fut_waiter = awaited
            if self._must_cancel and awaited.cancel(self.cancel_message):
                self._must_cancel = False
        if problem is not None:
            self._loop.call_soon(self._step, RuntimeError(problem), context=self._context)
        if not self.registered:
            self.registered = True
            register_task(self)
            self.suspended_c()
        return 0

    def _step(self, error):
        self.step_c(error)

    def _wakeup(self, future):
        try:
            future.result()
        except BaseException as error:
            self.step_c(error)
        else:
            self.step_c(None)

    cdef int settle_c(self, int state, object outcome) except -1:
        cdef list callbacks = self.callbacks
        self.state = state
        self.outcome = outcome
        self._fut_waiter = None
        if self.registered:
            unregister_task(self)
        if callbacks is not None:
            self.callbacks = None
            for callback, context in callbacks:
                self._loop.call_soon(callback, self, context=context)
        return 0

    # ---- for subclasses -----------------------------------------------------------------------

    cdef object returned_c(self, object result):
        return None

    cdef int raised_c(self, object error) except -1:
        return 0

    cdef int suspended_c(self) except -1:
        return 0

    # ---- what asyncio and its users ask of a task ---------------------------------------------

    cdef bint cancel_c(self, object message) except -1:
        if self.state != TASK_PENDING:
            return False
        self.cancel_requests += 1
        self.cancel_message = message
        if self._fut_waiter is None or not self._fut_waiter.cancel(message):
            self._must_cancel = True
        return True

    def make_cancelled_error(self):
        return CancelledError() if self.cancel_message is None else CancelledError(self.cancel_message)

    def cancel(self, msg=None):
        return self.cancel_c(msg)

    def cancelling(self):
        return self.cancel_requests

    def uncancel(self):
        if self.cancel_requests > 0:
            self.cancel_requests -= 1
            if self.cancel_requests == 0:
                self._must_cancel = False
        return self.cancel_requests

    def done(self):
        return self.state != TASK_PENDING

    def cancelled(self):
        return self.state == TASK_CANCELLED

    def result(self):
        error = self.exception()
        if error is not None:
            raise error
        return self.outcome

    def exception(self):
        if self.state == TASK_PENDING:
            raise InvalidStateError("the task is not done yet")
        if self.state == TASK_CANCELLED:
            raise self.outcome
        return self.outcome if self.state == TASK_RAISED else None

    def add_done_callback(self, callback, *, context=None):
        if context is None:
            context = PyContext_CopyCurrent()
        if self.state != TASK_PENDING:
            self._loop.call_soon(callback, self, context=context)
        elif self.callbacks is None:
            self.callbacks = [(callback, context)]
        else:
            self.callbacks.append((callback, context))

    def remove_done_callback(self, callback):
        if self.callbacks is None:
            return 0
        kept = [pair for pair in self.callbacks if pair[0] != callback]
        removed = len(self.callbacks) - len(kept)
        self.callbacks = kept
        return removed

    def get_loop(self):
        return self._loop

    def get_coro(self):
        return self._coro

    def get_context(self):
        return self._context

    def get_name(self):
        if self.name is None:
            self.name = f"request-{next_number()}"
        return self.name

    def set_name(self, value):
        self.name = str(value)

    def get_stack(self, *, limit=None):
        return base_tasks._task_get_stack(self, limit)

    def print_stack(self, *, limit=None, file=None):
        return base_tasks._task_print_stack(self, limit, file)

    def __await__(self):
        if self.state == TASK_PENDING:
            self._asyncio_future_blocking = True
            yield self
        if self.state == TASK_PENDING:
            raise RuntimeError("await wasn't used with future")
        return self.result()

    __iter__ = __await__
