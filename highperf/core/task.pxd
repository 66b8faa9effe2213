# StepTask: an asyncio task whose first step runs at once, without a turn of the loop.

from highperf.guards.deadlines cimport TimerOwner

cdef enum TaskState:
    TASK_PENDING = 0
    TASK_RETURNED = 1
    TASK_RAISED = 2
    TASK_CANCELLED = 3


cdef class StepTask(TimerOwner):
    # Names with an underscore are those that asyncio and anyio look at.
    cdef object __weakref__
    cdef readonly object _loop
    cdef readonly object _context       # set, like _loop, before begin_c
    cdef readonly object _coro          # what is being driven; None before and after
    cdef readonly object _fut_waiter    # the future that the coroutine waits for, or None
    cdef readonly list _callbacks       # [(callable, context)] or None
    cdef readonly object _cancel_message
    cdef public bint _must_cancel
    cdef public bint _asyncio_future_blocking
    cdef int cancel_requests
    cdef int state                      # TaskState
    cdef bint registered                # known to asyncio.all_tasks: it has waited
    cdef object outcome                 # result or exception, by state
    cdef object traceback               # of the exception when the coroutine raised it
    cdef object name                    # None: Task-like name made when asked for

    cdef int begin_c(self, object function, object argument) except -1
    # Ended in its first step, and nobody can have it but for this many references: it is as new again.
    cdef bint renew_c(self, Py_ssize_t references) noexcept
    cdef bint cancel_c(self, object message) except -1

    # For subclasses. returned_c may give another coroutine to go on with.
    cdef object returned_c(self, object result)
    cdef int raised_c(self, object error) except -1
    cdef int suspended_c(self) except -1

    cdef int call_c(self, object function, object argument) except -1
    cdef int step_c(self, object error) except -1
    cdef int run_c(self, object error) except -1
    cdef int wait_c(self, object awaited) except -1
    cdef int attend_c(self, object awaited) except -1
    cdef bint end_returned_c(self, object result) except -1
    cdef int end_raised_c(self, object error) except -1
    cdef int settle_c(self, int state, object outcome) except -1
