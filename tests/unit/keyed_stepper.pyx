# Runs the code of guards/keyed one access to memory at a time, in an order that a test chooses.
#
# tests/stepped.py puts a copy of that code in front of this, in which load_word and swap_word are taken
# from here: each gives control back before it touches memory. A process is a stack of its own.

cdef enum:
    MOST_PROCESSES = 4
    MOST_ACTS = 8


cdef extern from *:
    """
    #include <ucontext.h>
    static struct { ucontext_t context; char stack[65536]; int ended; void* scene; } hp_processes[4];
    static ucontext_t hp_scheduler;
    static int hp_running = -1;
    static void hp_act(void* scene, int process);

    static void hp_pause(void) {
        if (hp_running >= 0)
            swapcontext(&hp_processes[hp_running].context, &hp_scheduler);
    }
    static uint64_t hp_stepped_load(const uint64_t* word) {
        hp_pause();
        return *word;
    }
    static int hp_stepped_swap(uint64_t* word, uint64_t* expected, uint64_t desired) {
        hp_pause();
        if (*word == *expected) {
            *word = desired;
            return 1;
        }
        *expected = *word;
        return 0;
    }
    static void hp_begin(int process) {
        hp_act(hp_processes[process].scene, process);
        hp_processes[process].ended = 1;
    }
    static void hp_prepare(int process, void* scene) {
        ucontext_t* context = &hp_processes[process].context;
        getcontext(context);
        context->uc_stack.ss_sp = hp_processes[process].stack;
        context->uc_stack.ss_size = sizeof(hp_processes[process].stack);
        context->uc_link = &hp_scheduler;
        hp_processes[process].scene = scene;
        hp_processes[process].ended = 0;
        makecontext(context, (void (*)(void))hp_begin, 1, process);
    }
    static int hp_resume(int process) {
        if (hp_processes[process].ended)
            return 0;
        hp_running = process;
        swapcontext(&hp_scheduler, &hp_processes[process].context);
        hp_running = -1;
        return 1;
    }
    """
    uint64_t load_word "hp_stepped_load"(const uint64_t* word) noexcept nogil
    bint swap_word "hp_stepped_swap"(uint64_t* word, uint64_t* expected, uint64_t desired) noexcept nogil
    void prepare "hp_prepare"(int process, void* scene) noexcept
    # One access, and what follows it up to the next. False: this process has ended before.
    bint resume "hp_resume"(int process) noexcept


cdef struct Act:
    bint refunds
    const char* key
    Py_ssize_t size
    long long now_ns
    long long wait_ns           # what came of it


cdef void act "hp_act"(void* scene, int process) noexcept:
    (<Scene>scene).act_c(process)


@cython.final
cdef class Scene:
    """A table as it is now, and what some processes do with it at once: lists of (key, now_ns, refunds)."""

    cdef KeyedBuckets buckets
    cdef bytes start
    cdef list programs
    cdef Act acts[MOST_PROCESSES][MOST_ACTS]

    def __cinit__(self, KeyedBuckets buckets, list programs):
        assert len(programs) <= MOST_PROCESSES
        self.buckets = buckets
        self.start = (<char*>buckets.head)[:sizeof(TableHead) + buckets.table_bytes]
        self.programs = programs
        for process, program in enumerate(programs):
            assert len(program) <= MOST_ACTS
            for at, (key, now_ns, refunds) in enumerate(program):
                self.acts[process][at] = Act(refunds, key, len(key), now_ns, 0)

    cdef void act_c(self, int process) noexcept:
        cdef Act* act
        cdef int at
        for at in range(len(self.programs[process])):
            act = &self.acts[process][at]
            if act.refunds:
                self.buckets.refund_c(act.key, act.size, 1, act.now_ns, act.now_ns)
            else:
                act.wait_ns = self.buckets.take_c(act.key, act.size, 1, act.now_ns)

    def rewind(self):
        memcpy(self.buckets.head, <char*>self.start, len(self.start))

    def run(self, list switches):
        """From the same beginning as ever to the end of all processes, the first one first. Another one goes on
        where one has ended, and where a switch (step, process) says so.

        Returns which process made each step, and what each was told by each take.
        """
        cdef int process, count = len(self.programs)
        self.rewind()
        for process in range(count):
            prepare(process, <void*>self)
        steps, ahead = [], dict(switches)
        process = 0
        while True:
            process = ahead.get(len(steps), process)
            if resume(process):
                steps.append(process)
                continue
            for process in range(count):
                if resume(process):
                    steps.append(process)
                    break
            else:
                break
        return steps, [[self.acts[process][at].wait_ns for at in range(len(self.programs[process]))]
                       for process in range(count)]
