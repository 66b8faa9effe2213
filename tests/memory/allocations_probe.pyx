# Counts what is asked of Python's allocators during some calls, down to what is given back at once.

cdef extern from *:
    """
    #if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    #include <malloc.h>
    static long long hp_in_use(void) { return (long long)mallinfo2().uordblks; }
    #else
    static long long hp_in_use(void) { return 0; }
    #endif

    #define HP_DOMAINS 3
    static PyMemAllocatorEx hp_real[HP_DOMAINS];    /* by PyMemAllocatorDomain */
    static long long hp_asked;
    static int hp_inside;       /* one domain takes from the next what is too large for it: that counts once */

    static void* hp_malloc(void* real, size_t size) {
        hp_asked += !hp_inside++;
        void* made = ((PyMemAllocatorEx*)real)->malloc(((PyMemAllocatorEx*)real)->ctx, size);
        hp_inside--;
        return made;
    }
    static void* hp_calloc(void* real, size_t count, size_t size) {
        hp_asked += !hp_inside++;
        void* made = ((PyMemAllocatorEx*)real)->calloc(((PyMemAllocatorEx*)real)->ctx, count, size);
        hp_inside--;
        return made;
    }
    static void* hp_realloc(void* real, void* block, size_t size) {
        hp_asked += !hp_inside++;
        void* made = ((PyMemAllocatorEx*)real)->realloc(((PyMemAllocatorEx*)real)->ctx, block, size);
        hp_inside--;
        return made;
    }
    static void hp_free(void* real, void* block) {
        ((PyMemAllocatorEx*)real)->free(((PyMemAllocatorEx*)real)->ctx, block);
    }
    static void hp_watch(void) {
        hp_asked = 0;
        for (int domain = 0; domain < HP_DOMAINS; domain++) {
            PyMemAllocatorEx counting = {&hp_real[domain], hp_malloc, hp_calloc, hp_realloc, hp_free};
            PyMem_GetAllocator((PyMemAllocatorDomain)domain, &hp_real[domain]);
            PyMem_SetAllocator((PyMemAllocatorDomain)domain, &counting);
        }
    }
    static void hp_unwatch(void) {
        for (int domain = 0; domain < HP_DOMAINS; domain++)
            PyMem_SetAllocator((PyMemAllocatorDomain)domain, &hp_real[domain]);
    }
    """
    long long hp_in_use() nogil
    long long hp_asked
    void hp_watch()
    void hp_unwatch()

cdef extern from "Python.h":
    object PyObject_CallOneArg(object function, object argument)


def call(function, argument, int times):
    """Calls function(argument) so often, and allocates nothing for that itself."""
    cdef int turn
    for turn in range(times):
        PyObject_CallOneArg(function, argument)


def count(function, argument, int times):
    """How often Python's allocators were asked in so many calls, and how many octets the C library's holds more."""
    cdef long long before = hp_in_use(), asked, after
    hp_watch()
    try:
        call_c(function, argument, times)
    finally:
        hp_unwatch()
    asked, after = hp_asked, hp_in_use()
    return asked, after - before


cdef int call_c(function, argument, int times) except -1:
    cdef int turn
    for turn in range(times):
        PyObject_CallOneArg(function, argument)
    return 0
