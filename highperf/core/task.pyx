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
# - Whoever makes a StepTask gives it _loop and a _context of its own. begin_c enters the context
#   itself; later steps are called by the loop inside of it.
# - Semantics are those of CPython's Task.__step; uncancel clears _must_cancel as 3.13 does.
# - Nothing of a subclass runs while an exception is being handled here: it would become the
#   context of exceptions that have nothing to do with it.

from cpython.object cimport PyObject
from cpython.ref cimport Py_REFCNT
from highperf.checks cimport must

import asyncio                          # before _asyncio, which Python 3.11 else makes twice: no task is known then
import _asyncio
import inspect
import itertools
import reprlib
from asyncio import base_tasks, futures, tasks

cdef extern from *:
    """
    static inline int hp_is_awaitable(PyObject* value) {
        PyAsyncMethods* methods = Py_TYPE(value)->tp_as_async;
        return methods != NULL && methods->am_await != NULL;
    }
    static inline int hp_has_weak_references(PyObject* value) {
        Py_ssize_t at = Py_TYPE(value)->tp_weaklistoffset;     /* below 0: the interpreter keeps them elsewhere */
        return at <= 0 || *(PyObject**)((char*)value + at) != NULL;
    }
    /* The exception that is set, and no longer set: as it was raised, without a frame of ours. */
    static inline PyObject* hp_take_raised(void) {
    #if PY_VERSION_HEX >= 0x030C0000
        return PyErr_GetRaisedException();
    #else
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        PyErr_NormalizeException(&type, &value, &trace);
        if (trace != NULL) {
            PyException_SetTraceback(value, trace);
            Py_DECREF(trace);
        }
        Py_DECREF(type);
        return value;
    #endif
    }
    """
    bint hp_is_awaitable(object value)
    bint hp_has_weak_references(object value)
    object hp_take_raised()

cdef extern from "Python.h":
    int PYGEN_RETURN
    int PYGEN_ERROR
    int PYGEN_NEXT
    int PyIter_Send(PyObject* iterator, PyObject* value, PyObject** result)
    PyObject* PyObject_CallOneArg(object function, object argument)
    PyObject* PyObject_CallMethodOneArg(object target, object name, object argument)
    bint PyCoro_CheckExact(object value)
    bint PyGen_CheckExact(object value)
    object PyContext_CopyCurrent()
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1
    PyObject* Py_None
    PyObject* PyDict_SetDefault(dict mapping, object key, object value) except NULL     # borrowed
    int PyDict_DelItem(dict mapping, object key) except -1
    void Py_DECREF(PyObject* value)

# What asyncio.current_task() looks into, loop -> task. Up to Python 3.13 it is a dict that _asyncio
# shows; setting it directly saves 500 of a request's 11,000 instructions. Later Pythons keep the
# current task in the thread's state, and the functions are the way.
cdef dict current_tasks = getattr(_asyncio, "_current_tasks", None)
cdef object enter_task_slowly = tasks._enter_task
cdef object leave_task_slowly = tasks._leave_task
cdef object register_task = tasks._register_task
cdef object unregister_task = tasks._unregister_task
cdef object loop_of = futures._get_loop
cdef object CancelledError = asyncio.CancelledError
cdef object InvalidStateError = asyncio.InvalidStateError
cdef object next_number = itertools.count(1).__next__
cdef tuple STATES = ("pending", "finished", "finished", "cancelled")     # by TaskState


async def await_any(awaitable):
    # Gives PyIter_Send a coroutine where a handler handed back some other awaitable.
    return await awaitable


cdef inline int enter_c(object loop, object task) except -1:
    if current_tasks is None or PyDict_SetDefault(current_tasks, loop, task) != <PyObject*>task:
        enter_task_slowly(loop, task)               # raises where another task is current
    return 0


cdef inline int leave_c(object loop, object task) except -1:
    if current_tasks is None:
        leave_task_slowly(loop, task)
    else:
        PyDict_DelItem(current_tasks, loop)
    return 0


cdef inline bint can_wait(object value):
    return hp_is_awaitable(value) or (PyGen_CheckExact(value) and inspect.isawaitable(value))


cdef inline object take(PyObject* value):
    # Makes a new reference that C handed out one that Cython looks after.
    cdef object taken = <object>value
    Py_DECREF(value)
    return taken


def raise_again(error):
    raise error


@reprlib.recursive_repr()
def describe(StepTask task not None):
    words = [STATES[task.state], f"name={task.get_name()!r}"]
    if task.state == TASK_PENDING and task.cancel_requests:
        words[0] = "cancelling"
    if task._coro is not None:
        words.append(f"coro={task._coro!r}")
    if task._fut_waiter is not None:
        words.append(f"wait_for={task._fut_waiter!r}")
    if task.state == TASK_RETURNED:
        words.append(f"result={reprlib.repr(task.outcome)}")
    elif task.state == TASK_RAISED:
        words.append(f"exception={task.outcome!r}")
    return f"<{type(task).__name__} {' '.join(words)}>"


cdef class StepTask(TimerOwner):
    # ---- driving ------------------------------------------------------------------------------

    cdef int begin_c(self, object function, object argument) except -1:
        # Calls function(argument), and drives what it returns if that can wait.
        must(self.state == TASK_PENDING and not self.registered, "a task begins twice")
        PyContext_Enter(self._context)
        try:
            enter_c(self._loop, self)
            self.call_c(function, argument)
        finally:
            PyContext_Exit(self._context)
        return 0

    cdef bint renew_c(self, Py_ssize_t references) noexcept:
        if self.state != TASK_RETURNED or self.registered or Py_REFCNT(self) > references:
            return False
        if self._callbacks is not None or self.name is not None or self.cancel_requests or self._must_cancel:
            return False
        if hp_has_weak_references(self):
            return False
        must(self._coro is None and self._fut_waiter is None, "a task that has ended still waits")
        self.state = TASK_PENDING
        self.outcome = None
        self._context = None
        return True

    cdef int call_c(self, object function, object argument) except -1:
        cdef PyObject* value = PyObject_CallOneArg(function, argument)
        cdef object result
        if value == NULL:
            result = hp_take_raised()
            leave_c(self._loop, self)
            return self.end_raised_c(result)
        result = take(value)
        if PyCoro_CheckExact(result):
            self._coro = result
        elif can_wait(result):
            self._coro = await_any(result)
        else:
            leave_c(self._loop, self)
            if self.end_returned_c(result):
                return 0
            enter_c(self._loop, self)
        return self.run_c(None)

    cdef int step_c(self, object error) except -1:
        if self.state != TASK_PENDING:
            raise InvalidStateError(f"a step of a task that is done: {self!r} {error!r}")
        self._fut_waiter = None
        enter_c(self._loop, self)
        return self.run_c(error)

    cdef int run_c(self, object error) except -1:
        # As the current task, until the coroutine waits or ends.
        cdef PyObject* value
        cdef object outcome
        cdef int verdict
        if self._must_cancel:
            self._must_cancel = False
            if not isinstance(error, CancelledError):
                error = self._make_cancelled_error()
        while True:
            value = NULL
            if error is None:
                verdict = PyIter_Send(<PyObject*>self._coro, Py_None, &value)
            else:
                value = PyObject_CallMethodOneArg(self._coro, "throw", error)
                verdict = PYGEN_NEXT if value != NULL else PYGEN_ERROR
                error = None
            outcome = hp_take_raised() if verdict == PYGEN_ERROR else take(value)
            leave_c(self._loop, self)
            if verdict == PYGEN_NEXT:
                return self.wait_c(outcome)
            if verdict == PYGEN_ERROR:
                if not isinstance(outcome, StopIteration):
                    return self.end_raised_c(outcome)
                outcome = outcome.value             # throw() tells a return so
            if self.end_returned_c(outcome):
                return 0
            enter_c(self._loop, self)

    cdef int wait_c(self, object awaited) except -1:
        cdef object problem = None
        if awaited is None:                         # a bare yield: asyncio.sleep(0)
            self._loop.call_soon(self._step, None, context=self._context)
        else:
            try:
                self.attend_c(awaited)
            except BaseException as error:
                problem = error
            if problem is not None:
                self._loop.call_soon(self._step, problem, context=self._context)
            elif self._must_cancel and awaited.cancel(self._cancel_message):
                self._must_cancel = False
        if not self.registered:
            self.registered = True
            register_task(self)
            self.suspended_c()
        return 0

    cdef int attend_c(self, object awaited) except -1:
        # To be woken when the future is done.
        cdef object blocking = getattr(awaited, "_asyncio_future_blocking", None)
        if blocking is None:
            raise RuntimeError(f"{self!r} got {awaited!r}, which is no future")
        if getattr(awaited, "_loop", None) is not self._loop and loop_of(awaited) is not self._loop:
            raise RuntimeError(f"{self!r} got {awaited!r}, which belongs to another event loop")
        if not blocking:
            raise RuntimeError(f"{self!r} got {awaited!r} by yield, where await belongs")
        if awaited is self:
            raise RuntimeError(f"{self!r} cannot await itself")
        awaited._asyncio_future_blocking = False
        awaited.add_done_callback(self._wakeup, context=self._context)
        self._fut_waiter = awaited
        return 0

    def _step(self, error):
        self.step_c(error)

    def _wakeup(self, future):
        cdef object error = None
        try:
            future.result()
        except BaseException as raised:
            error = raised
        self.step_c(error)

    # ---- the end ------------------------------------------------------------------------------

    cdef bint end_returned_c(self, object result) except -1:
        # False where returned_c has another coroutine to go on with.
        cdef object failure = None
        self._coro = None
        if self._must_cancel:                       # right before it returned
            self._must_cancel = False
            self.end_raised_c(self._make_cancelled_error())
            return True
        try:
            self._coro = self.returned_c(result)
        except BaseException as error:
            failure = error
        if failure is not None:
            self.end_raised_c(failure)
        elif self._coro is not None:
            return False
        else:
            self.settle_c(TASK_RETURNED, result)
        return True

    cdef int end_raised_c(self, object error) except -1:
        self._coro = None
        self.traceback = error.__traceback__
        self.raised_c(error)
        self.settle_c(TASK_CANCELLED if isinstance(error, CancelledError) else TASK_RAISED, error)
        if isinstance(error, KeyboardInterrupt):    # meant for the whole program
            self._loop.call_soon(raise_again, error)
        return 0

    cdef int settle_c(self, int state, object outcome) except -1:
        cdef list callbacks = self._callbacks
        must(self.state == TASK_PENDING, "a task ends twice")
        self.state = state
        self.outcome = outcome
        if self.registered:
            unregister_task(self)
        if callbacks is not None:
            self._callbacks = None
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
        self._cancel_message = message
        if self._fut_waiter is None or not self._fut_waiter.cancel(message):
            self._must_cancel = True
        return True

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

    def _make_cancelled_error(self):
        if self.state == TASK_CANCELLED:
            return self.outcome
        return CancelledError() if self._cancel_message is None else CancelledError(self._cancel_message)

    def done(self):
        return self.state != TASK_PENDING

    def cancelled(self):
        return self.state == TASK_CANCELLED

    def result(self):
        error = self.exception()
        if error is not None:
            raise error.with_traceback(self.traceback)      # not with that of whoever asked before
        return self.outcome

    def exception(self):
        if self.state == TASK_PENDING:
            raise InvalidStateError("the task is not done yet")
        if self.state == TASK_CANCELLED:
            raise self.outcome.with_traceback(self.traceback)
        return self._exception

    @property
    def _exception(self):
        return self.outcome if self.state == TASK_RAISED else None

    def add_done_callback(self, callback, *, context=None):
        if context is None:
            context = PyContext_CopyCurrent()
        if self.state != TASK_PENDING:
            self._loop.call_soon(callback, self, context=context)
        elif self._callbacks is None:
            self._callbacks = [(callback, context)]
        else:
            self._callbacks.append((callback, context))

    def remove_done_callback(self, callback):
        if self._callbacks is None:
            return 0
        kept = [pair for pair in self._callbacks if pair[0] != callback]
        removed = len(self._callbacks) - len(kept)
        self._callbacks = kept
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

    def __repr__(self):
        return describe(self)

    def __await__(self):
        if self.state == TASK_PENDING:
            self._asyncio_future_blocking = True
            yield self
        if self.state == TASK_PENDING:
            raise RuntimeError("await wasn't used with future")
        return self.result()

    __iter__ = __await__
