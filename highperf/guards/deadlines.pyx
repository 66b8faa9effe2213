# The lists and the wheel that timers stand in (see the .pxd), and who owns a timer.
#
# Both borrow the timers. Whoever dies first takes the links away: an owner disarms its timers in
# __dealloc__, a list or wheel leaves its timers idle.
#
# List: re-arming moves a timer to the end, which is where its new due time belongs, because every
# timer of a list has the same timeout and time never runs back.
#
# Wheel: a due time is rounded up to the end of its slot, and the slot with the number n is list n modulo
# SLOTS. A timer of a later round stays there and is passed over once a round. So slots are
# swept whole: what is due in one moves to `expired`, from where it is handed out one by one and
# where it may still be disarmed. disarm_c knows nothing of wheels: a slot that it empties
# stays marked until somebody looks.

cimport cython

from highperf.checks cimport must
from highperf.guards.deadlines cimport MARKS, NEVER, SLOT_NS, SLOTS, YEAR_NS, Timer, armed_c, disarm_c

cdef extern from *:
    """
    #define hp_lowest_bit(word) __builtin_ctzll(word)
    """
    int lowest_bit "hp_lowest_bit"(uint64_t word) noexcept nogil     # of a word that is not 0


cdef class TimerOwner:
    cdef int expired_c(self, int kind) except -1:
        raise NotImplementedError("expired_c")


cdef inline void found_c(Timer* sentinel) noexcept nogil:
    # An empty list.
    sentinel.next = sentinel
    sentinel.previous = sentinel


cdef inline void append_c(Timer* sentinel, Timer* timer) noexcept nogil:
    # An idle timer to the end of a list.
    must(not armed_c(timer), "a timer is linked twice")
    must(timer.owner != NULL, "a timer that is armed has no owner")
    timer.previous = sentinel.previous
    timer.next = sentinel
    sentinel.previous.next = timer
    sentinel.previous = timer


cdef Py_ssize_t count_c(const Timer* sentinel) noexcept nogil:
    cdef Py_ssize_t count = 0
    cdef const Timer* timer = sentinel.next
    while timer != sentinel:
        count += 1
        timer = timer.next
    return count


cdef void disarm_all_c(Timer* sentinel) noexcept nogil:
    # Does nothing to a list that was never founded.
    while sentinel.next != NULL and sentinel.next != sentinel:
        disarm_c(sentinel.next)


@cython.final
cdef class TimeoutList:
    def __cinit__(self, long long timeout_ns):
        if not 0 <= timeout_ns <= YEAR_NS:
            raise ValueError(f"timeout_ns must be 0 (off) or at most a year, not {timeout_ns}")
        self.timeout_ns = timeout_ns
        found_c(&self.head)

    def __dealloc__(self):
        # Owners may outlive the list (a connection that is collected after its worker).
        disarm_all_c(&self.head)

    def __len__(self):
        return count_c(&self.head)

    cdef void arm_c(self, Timer* timer, long long now_ns) noexcept nogil:
        disarm_c(timer)                 # also where this timeout is off: the timer has left the other list
        if self.timeout_ns == 0:
            return
        timer.due_ns = now_ns + self.timeout_ns
        append_c(&self.head, timer)

    cdef long long next_due_c(self) noexcept nogil:
        return NEVER if self.head.next == &self.head else self.head.next.due_ns

    cdef Timer* pop_expired_c(self, long long now_ns) noexcept nogil:
        cdef Timer* timer = self.head.next
        if timer == &self.head or timer.due_ns > now_ns:
            return NULL
        disarm_c(timer)
        return timer

    cdef Timer* at_c(self, Py_ssize_t place) noexcept nogil:
        cdef Timer* timer = self.head.next
        while place > 0 and timer != &self.head:
            timer = timer.next
            place -= 1
        return NULL if timer == &self.head else timer

    cdef long long since_c(self, const Timer* timer) noexcept nogil:
        return timer.due_ns - self.timeout_ns


@cython.final
cdef class TimerWheel:
    def __cinit__(self):
        cdef int index
        found_c(&self.expired)
        for index in range(SLOTS):
            found_c(&self.slots[index])

    def __dealloc__(self):
        cdef int index
        disarm_all_c(&self.expired)
        for index in range(SLOTS):
            disarm_all_c(&self.slots[index])

    def __len__(self):
        cdef int index
        cdef Py_ssize_t count = count_c(&self.expired)
        for index in range(SLOTS):
            count += count_c(&self.slots[index])
        return count

    cdef void arm_c(self, Timer* timer, long long due_ns, long long now_ns) noexcept nogil:
        cdef long long slot
        cdef int index
        disarm_c(timer)
        if due_ns > NEVER - SLOT_NS:                # its slot would end after all time
            return
        # What is due already waits for the end of this slot: whoever arms such a timer each time that
        # it is handed out must not keep pop_expired_c busy for ever.
        slot = max((due_ns + SLOT_NS - 1) // SLOT_NS, now_ns // SLOT_NS + 1)
        index = slot % SLOTS
        timer.due_ns = slot * SLOT_NS
        append_c(&self.slots[index], timer)
        self.marks[index // MARKS] |= <uint64_t>1 << index % MARKS

    cdef long long next_due_c(self) noexcept nogil:
        cdef long long slot
        if self.expired.next != &self.expired:
            return self.expired.next.due_ns
        slot = self.marked_slot_c()
        return NEVER if slot == NEVER else slot * SLOT_NS

    cdef Timer* pop_expired_c(self, long long now_ns) noexcept nogil:
        cdef Timer* timer
        cdef long long last_slot = now_ns // SLOT_NS
        if self.next_slot <= last_slot:
            self.sweep_c(last_slot)
        timer = self.expired.next
        if timer == &self.expired:
            return NULL
        disarm_c(timer)
        return timer

    cdef void sweep_c(self, long long last_slot) noexcept nogil:
        # Every slot that has ended, but none twice.
        cdef long long slot
        self.next_slot = max(self.next_slot, last_slot - SLOTS + 1)
        slot = self.marked_slot_c()
        while slot <= last_slot:
            self.sweep_slot_c(&self.slots[slot % SLOTS], last_slot * SLOT_NS)
            self.next_slot = slot + 1
            slot = self.marked_slot_c()
        self.next_slot = last_slot + 1

    cdef void sweep_slot_c(self, Timer* slot, long long now_ns) noexcept nogil:
        cdef Timer* timer = slot.next
        cdef Timer* following
        while timer != slot:
            following = timer.next
            if timer.due_ns <= now_ns:              # else it is of a later round
                disarm_c(timer)
                append_c(&self.expired, timer)
            timer = following

    cdef long long marked_slot_c(self) noexcept nogil:
        # Number of the earliest slot, from next_slot on, that holds a timer of whatever round; NEVER.
        # Clears the marks of the empty ones that it meets.
        cdef int start = self.next_slot % SLOTS
        cdef int ahead = 0                          # of next_slot
        cdef int index, bit
        cdef uint64_t rest
        while ahead < SLOTS:
            index = (start + ahead) % SLOTS
            bit = index % MARKS
            rest = self.marks[index // MARKS] >> bit
            if rest == 0:
                ahead += MARKS - bit                # on to the next word
                continue
            ahead += lowest_bit(rest)
            if ahead >= SLOTS:
                break                               # back in the word that the search began in
            index = (start + ahead) % SLOTS
            if self.slots[index].next != &self.slots[index]:
                return self.next_slot + ahead
            self.marks[index // MARKS] &= ~(<uint64_t>1 << index % MARKS)
        return NEVER
