# The inside of wire/router, for test_router_tree.py.

from highperf.wire.router cimport LABEL_MAX, PARAMS_MAX, Endpoint, Node, PathParams, Router

LABEL_LIMIT = LABEL_MAX
PARAMS_LIMIT = PARAMS_MAX
NODE_BYTES = sizeof(Node)


def nodes(Router router):
    """Every node as a dictionary; children by their first octet."""
    cdef Node* node
    cdef const char* octets
    found = []
    for index in range(router.node_count):
        node = &router.nodes[index]
        octets = <const char*>(node.children + node.child_capacity)
        found.append({
            "label": node.label[:node.label_size],
            "is_param": bool(node.is_param),
            "parent": node.parent,
            "param": node.param,
            "children": [(octets[at], node.children[at]) for at in range(node.child_count)],
            "endpoint": None if node.endpoint == NULL else (<Endpoint>node.endpoint).pattern,
            "rest": None if node.rest == NULL else (<Endpoint>node.rest).pattern,
        })
    return found


def endpoint(Router router, bytes octets, size=None):
    """The endpoint for the first `size` octets."""
    cdef PathParams params
    return router.match_c(octets, len(octets) if size is None else size, &params)


def match_often(Router router, bytes path, int times):
    """Matches so many times; returns how often memory was allocated meanwhile."""
    cdef PathParams params
    cdef Py_ssize_t before
    for domain in range(DOMAINS):
        count_domain(domain)
    before = allocations
    for _ in range(times):
        router.match_c(path, len(path), &params)
    before = allocations - before
    for domain in range(DOMAINS):
        PyMem_SetAllocator(domain, &allocators[domain])
    return before


def allow_field(Endpoint endpoint):
    return endpoint.allow_c()


# Every allocator of the interpreter, wrapped to count its calls.

cdef extern from "Python.h":
    ctypedef int PyMemAllocatorDomain
    ctypedef struct PyMemAllocatorEx:
        void* ctx
        void* (*malloc)(void* ctx, size_t size) noexcept
        void* (*calloc)(void* ctx, size_t count, size_t size) noexcept
        void* (*realloc)(void* ctx, void* memory, size_t size) noexcept
        void (*free)(void* ctx, void* memory) noexcept
    void PyMem_GetAllocator(PyMemAllocatorDomain domain, PyMemAllocatorEx* allocator)
    void PyMem_SetAllocator(PyMemAllocatorDomain domain, PyMemAllocatorEx* allocator)

cdef enum:
    DOMAINS = 3

cdef PyMemAllocatorEx allocators[DOMAINS]
cdef Py_ssize_t allocations = 0


cdef void* counted_malloc(void* ctx, size_t size) noexcept:
    global allocations
    allocations += 1
    return (<PyMemAllocatorEx*>ctx).malloc((<PyMemAllocatorEx*>ctx).ctx, size)


cdef void* counted_calloc(void* ctx, size_t count, size_t size) noexcept:
    global allocations
    allocations += 1
    return (<PyMemAllocatorEx*>ctx).calloc((<PyMemAllocatorEx*>ctx).ctx, count, size)


cdef void* counted_realloc(void* ctx, void* memory, size_t size) noexcept:
    global allocations
    allocations += 1
    return (<PyMemAllocatorEx*>ctx).realloc((<PyMemAllocatorEx*>ctx).ctx, memory, size)


cdef void passed_free(void* ctx, void* memory) noexcept:
    (<PyMemAllocatorEx*>ctx).free((<PyMemAllocatorEx*>ctx).ctx, memory)


cdef int count_domain(PyMemAllocatorDomain domain) except -1:
    cdef PyMemAllocatorEx counting
    PyMem_GetAllocator(domain, &allocators[domain])
    counting.ctx = &allocators[domain]
    counting.malloc = counted_malloc
    counting.calloc = counted_calloc
    counting.realloc = counted_realloc
    counting.free = passed_free
    PyMem_SetAllocator(domain, &counting)
    return 0
