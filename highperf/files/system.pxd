# The system calls of files, and what they are called elsewhere. Header-only. All that can fail
# returns -errno, so nothing hangs on a thread's errno between two calls.

from libc.stdint cimport int64_t, uint64_t

cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/stat.h>
    #include <sys/types.h>
    #include <sys/uio.h>
    #include <unistd.h>
    #ifdef __linux__
    #include <sys/syscall.h>
    #endif

    /* A descriptor that says where, and opens nothing. */
    #ifdef O_PATH
    #define HP_O_PATH O_PATH
    #else
    #define HP_O_PATH (O_RDONLY | O_NONBLOCK)
    #endif

    /* Of <linux/openat2.h> and its syscall, which older headers lack. */
    enum { HP_NO_MAGICLINKS = 2, HP_NO_SYMLINKS = 4, HP_BENEATH = 8, HP_CACHED = 32 };
    #if defined(__linux__) && !defined(SYS_openat2)
    #define SYS_openat2 437
    #endif

    static inline int hp_openat(int at, const char* path, int flags) {
        int fd;
        do
            fd = openat(at, path, flags | O_CLOEXEC);
        while (fd < 0 && errno == EINTR);
        return fd < 0 ? -errno : fd;
    }

    static inline int hp_openat2(int at, const char* path, int flags, int resolve) {
    #ifdef __linux__
        struct { uint64_t flags, mode, resolve; } how = {(uint64_t)(flags | O_CLOEXEC), 0, (uint64_t)resolve};
        int fd;
        do
            fd = (int)syscall(SYS_openat2, at, path, &how, sizeof how);
        while (fd < 0 && errno == EINTR);
        return fd < 0 ? -errno : fd;
    #else
        (void)at, (void)path, (void)flags, (void)resolve;
        return -ENOSYS;
    #endif
    }

    struct hp_status {
        uint64_t device, inode;
        int64_t size, mtime_ns, ctime_ns;
        int is_file, is_directory, is_link;
    };

    static inline int hp_told(int result, const struct stat* told, struct hp_status* status) {
        int error = errno;
        memset(status, 0, sizeof *status);
        if (result != 0)
            return -error;
        status->device = (uint64_t)told->st_dev;
        status->inode = (uint64_t)told->st_ino;
        status->size = (int64_t)told->st_size;
    #ifdef __APPLE__
        status->mtime_ns = (int64_t)told->st_mtimespec.tv_sec * 1000000000 + told->st_mtimespec.tv_nsec;
        status->ctime_ns = (int64_t)told->st_ctimespec.tv_sec * 1000000000 + told->st_ctimespec.tv_nsec;
    #else
        status->mtime_ns = (int64_t)told->st_mtim.tv_sec * 1000000000 + told->st_mtim.tv_nsec;
        status->ctime_ns = (int64_t)told->st_ctim.tv_sec * 1000000000 + told->st_ctim.tv_nsec;
    #endif
        status->is_file = S_ISREG(told->st_mode);
        status->is_directory = S_ISDIR(told->st_mode);
        status->is_link = S_ISLNK(told->st_mode);
        return 0;
    }

    static inline int hp_fstat(int fd, struct hp_status* status) {
        struct stat told;
        return hp_told(fstat(fd, &told), &told, status);
    }

    /* Of the name itself: a symbolic link is not followed. */
    static inline int hp_lstatat(int at, const char* name, struct hp_status* status) {
        struct stat told;
        return hp_told(fstatat(at, name, &told, AT_SYMLINK_NOFOLLOW), &told, status);
    }

    static inline ssize_t hp_readlinkat(int at, const char* name, char* target, size_t room) {
        ssize_t size = readlinkat(at, name, target, room);
        return size < 0 ? -errno : size;
    }

    /* Octets read from offset on. waits 0: -EAGAIN where the disk would have to be waited for, or
       where the file system cannot say. */
    static inline ssize_t hp_read_at(int fd, char* to, size_t size, int64_t offset, int waits) {
        ssize_t got;
        do {
            if (waits)
                got = pread(fd, to, size, (off_t)offset);
            else {
    #if defined(__linux__) && defined(RWF_NOWAIT)
                struct iovec part = {to, size};
                got = preadv2(fd, &part, 1, (off_t)offset, RWF_NOWAIT);
                if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
                    return -EAGAIN;
    #else
                return -EAGAIN;
    #endif
            }
        } while (got < 0 && errno == EINTR);
        return got < 0 ? -errno : got;
    }
    """
    enum:
        HP_O_PATH
        HP_NO_MAGICLINKS
        HP_NO_SYMLINKS
        HP_BENEATH
        HP_CACHED
    enum:
        O_RDONLY
        O_NONBLOCK
        O_NOCTTY
        O_NOFOLLOW
        O_DIRECTORY
    ctypedef struct Status "struct hp_status":
        uint64_t device
        uint64_t inode
        int64_t size
        int64_t mtime_ns
        int64_t ctime_ns
        bint is_file
        bint is_directory
        bint is_link
    int open_at "hp_openat"(int at, const char* path, int flags) noexcept nogil
    int open_beneath "hp_openat2"(int at, const char* path, int flags, int resolve) noexcept nogil
    int status_of "hp_fstat"(int fd, Status* status) noexcept nogil
    int status_at "hp_lstatat"(int at, const char* name, Status* status) noexcept nogil
    Py_ssize_t read_link "hp_readlinkat"(int at, const char* name, char* target, size_t room) noexcept nogil
    Py_ssize_t read_at "hp_read_at"(int fd, char* to, size_t size, int64_t offset, bint waits) noexcept nogil
