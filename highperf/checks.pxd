# What must be so, whoever called: ownership asserts. The flavours debug, asan, fuzz and cov stop the process where
# it is not, with its place and text on stderr, in `noexcept nogil` functions too; the release build has none of them.

cdef extern from *:
    """
    #ifdef HP_CHECKED
    #include <stdio.h>
    static inline void hp_broken(const char* file, int line, const char* text) {
        fprintf(stderr, "%s:%d: %s\\n", file, line, text);
        Py_FatalError(text);
    }
    #define hp_must(condition, text) ((condition) ? (void)0 : hp_broken(__FILE__, __LINE__, text))
    #else
    #define hp_must(condition, text) ((void)sizeof(condition))      /* compiled, so that it stays true, never run */
    #endif
    """
    # The text says what is broken. The condition must have no effect, and be C alone in hot functions.
    void must "hp_must"(bint condition, const char* text) noexcept nogil
