# StepTask: an asyncio task whose first step runs at once, without a turn of the loop.

cdef enum TaskState:
    TASK_PENDING = 0
    TASK_RETURNED = 1
    TASK_RAISED = 2
    TASK_CANCELLED = 3


cdef class StepTask:
    cdef object __weakref__
    cdef readonly object _loop
    cdef readonly object _coro          # what is being driven; None before and after
    cdef readonly object _context
    cdef readonly object _fut_waiter    # the future that the coroutine waits for, or None
    cdef public bint _must_cancel
    cdef public bint _asyncio_future_blocking
    cdef object cancel_message
    cdef int cancel_requests
    cdef int state                      # TaskState
    cdef bint registered                # known to asyncio.all_tasks: it has waited
    cdef object outcome                 # result or exception, by state
    cdef list callbacks                 # [(callable, context)] or None
    cdef object name                    # None: Task-like name made when asked for

    cdef int begin_c(self, object function, object argument) except -1
    cdef bint cancel_c(self, object message) except -1

    # For subclasses. returned_c may give another coroutine to go on with.
    cdef object returned_c(self, object result)
    cdef int raised_c(self, object error) except -1
    cdef int suspended_c(self) except -1

    cdef int step_c(self, object error) except -1
    cdef bint go_on_c(self, int verdict, object outcome) except -1
    cdef object throw_c(self, object error)
    cdef int wait_c(self, object awaited) except -1
    cdef int settle_c(self, int state, object outcome) except -1
