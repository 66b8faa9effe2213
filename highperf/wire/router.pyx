# Owns the way from a path to an endpoint, and from a method to what was registered for it.
# Knows no HTTP beyond the names of methods; knows nothing of the values it hands back.
#
# The tree is a compressed trie over octets. Its nodes lie in one array, 64 octets each, and a
# label longer than a node holds is a chain of nodes. Below a node come, in order of precedence,
# its static children (found by their first octet), one child that takes a whole segment, and
# one catch-all. Matching allocates nothing, makes no object and does not recurse: the way back
# from a dead end stands in the tree itself (parent) and in the parameters taken so far.
#
# Why backtracking is bounded: a node stands for exactly one pattern prefix, and a parameter
# takes exactly one segment, so a path reaches a node in at most one way. It is entered and left
# at most once: no set of routes makes a match cost more than a walk over the nodes.

cimport cython
from cpython.list cimport PyList_GET_ITEM
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport UINT32_MAX
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

from highperf.wire.methods cimport METHOD_COUNT, METHOD_OTHER

import re

from highperf.errors import RouteConflict
from highperf.wire.patterns import parse_pattern

# By Method.
METHOD_NAMES = ("_OTHER", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
cdef dict METHODS = {name: number for number, name in enumerate(METHOD_NAMES) if number != METHOD_OTHER}
# What "*" answers to, as far as it can be listed; CONNECT's target is no path (RFC 9110 9.3.6).
cdef frozenset METHODS_OF_ANY = frozenset(METHODS) - {"CONNECT"}
cdef object TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

cdef enum:
    FIRST_NODES = 16
    FIRST_CHILDREN = 4
    MOST_CHILDREN = 255

cdef enum Tried:
    # The alternatives below a node that led to a dead end, in order of precedence.
    TRIED_NOTHING
    TRIED_STATIC
    TRIED_PARAM


cdef inline const char* octets_of(const Node* node) noexcept nogil:
    # The first octets of the static children lie behind their indexes.
    return <const char*>(node.children + node.child_capacity)


cdef inline uint32_t child_of(const Node* node, char octet) noexcept nogil:
    cdef const char* octets
    cdef const char* found
    if node.child_count == 0:
        return 0
    octets = octets_of(node)
    if octets[0] == octet:                      # an only child, mostly; saves the call
        return node.children[0]
    found = <const char*>memchr(octets, octet, node.child_count)
    return 0 if found == NULL else node.children[found - octets]


cdef inline uint32_t static_child(const Node* nodes, const Node* node, const char* rest,
                                  uint32_t size) noexcept nogil:
    # The child whose whole label begins the rest of the path.
    cdef uint32_t index
    cdef const Node* child
    if size == 0:
        return 0
    index = child_of(node, rest[0])
    if index == 0:
        return 0
    child = nodes + index
    if child.label_size > size:
        return 0
    if child.label_size > 1 and memcmp(child.label + 1, rest + 1, child.label_size - 1) != 0:
        return 0
    return index


cdef inline uint32_t segment_size(const char* rest, uint32_t size) noexcept nogil:
    cdef const char* slash = <const char*>memchr(rest, c"/", size)
    return size if slash == NULL else <uint32_t>(slash - rest)


cdef inline void take(PathParams* params, uint32_t start, uint32_t size) noexcept nogil:
    params.start[params.count] = start
    params.size[params.count] = size
    params.count += 1


cdef PyObject* find(const Node* nodes, const char* path, uint32_t size, PathParams* params) noexcept nogil:
    # path[:at] fits the way from the root to node.
    cdef const Node* node = nodes
    cdef uint32_t at = 1
    cdef uint32_t child, segment
    cdef Tried tried = TRIED_NOTHING
    params.count = 0
    if size == 0 or path[0] != c"/":
        return NULL
    while True:
        if tried == TRIED_NOTHING:
            if at == size and node.endpoint != NULL:
                return node.endpoint
            child = static_child(nodes, node, path + at, size - at)
            if child:
                node = nodes + child
                at += node.label_size
                continue
        if node.param and tried != TRIED_PARAM:
            segment = segment_size(path + at, size - at)
            if segment:
                take(params, at, segment)
                at += segment
                node = nodes + node.param
                tried = TRIED_NOTHING
                continue
        if node.rest != NULL:
            take(params, at, size - at)
            return node.rest
        if node == nodes:
            return NULL
        if node.is_param:
            params.count -= 1
            at = params.start[params.count]
            tried = TRIED_PARAM
        else:
            at -= node.label_size
            tried = TRIED_STATIC
        node = nodes + node.parent


@cython.final
cdef class Endpoint:
    def __cinit__(self, str pattern not None, tuple param_names not None):
        self.pattern = pattern
        self.param_names = param_names
        self.known = [None] * METHOD_COUNT
        self.others = {}

    @property
    def methods(self):
        names = {name for name, method in METHODS.items() if self.known[<int>method] is not None}
        names.update(token.decode() for token in self.others)
        if self.any is not None:
            names |= METHODS_OF_ANY
        if "GET" in names:
            names.add("HEAD")
        names.add("OPTIONS")
        return tuple(sorted(names))

    cdef object find_c(self, int method, const char* token, Py_ssize_t token_size):
        cdef object value = None
        if method != METHOD_OTHER:
            value = <object>PyList_GET_ITEM(self.known, method)
        elif self.others:
            value = self.others.get(token[:token_size])
        return self.any if value is None else value

    cdef str allow_c(self):
        # The value of an Allow field (RFC 9110 section 10.2.1).
        if self.allow is None:
            self.allow = ", ".join(self.methods)
        return self.allow

    cdef dict params_c(self, const char* path, const PathParams* params):
        cdef dict decoded = {}
        cdef int index
        cdef str value
        cdef const char* start
        for index in range(params.count):
            start = path + params.start[index]
            value = PyUnicode_DecodeUTF8(<char*>start, params.size[index], "replace")
            if memchr(start, 0, params.size[index]) != NULL:
                value = value.replace("\0", "/")
            decoded[self.param_names[index]] = value
        return decoded

    cdef bint has_c(self, str method) except -1:
        if method == "*":
            return self.any is not None
        if method in METHODS:
            return self.known[<int>METHODS[method]] is not None
        return method.encode() in self.others

    cdef int put_c(self, str method, object value) except -1:
        self.allow = None
        if method == "*":
            self.any = value
        elif method in METHODS:
            self.known[<int>METHODS[method]] = value
        else:
            self.others[method.encode()] = value
        return 0


cdef int check_method(str method) except -1:
    if TOKEN.fullmatch(method) is None:
        raise ValueError(f"method {method!r} is not a token (RFC 9110 section 5.6.2)")
    if method not in METHODS and method.upper() in METHODS:
        raise ValueError(f"method {method!r}: methods are case-sensitive, write {method.upper()!r}")
    return 0


@cython.final
cdef class Router:
    def __cinit__(self):
        self.endpoints = []
        self.shapes = {}
        self.entries = []
        self.nodes = <Node*>malloc(FIRST_NODES * sizeof(Node))
        if self.nodes == NULL:
            raise MemoryError()
        self.node_capacity = FIRST_NODES
        self.node_count = 1
        memset(self.nodes, 0, sizeof(Node))
        self.nodes.label[0] = c"/"
        self.nodes.label_size = 1

    def __dealloc__(self):
        cdef uint32_t index
        for index in range(self.node_count):
            free(self.nodes[index].children)
        free(self.nodes)

    def __len__(self):
        return len(self.entries)

    def add(self, str method not None, str pattern not None, object value not None):
        cdef Endpoint endpoint
        check_method(method)
        parsed = parse_pattern(pattern)
        endpoint = self.shapes.get(parsed.shape)
        if endpoint is None:
            endpoint = self.insert_c(parsed)
        elif endpoint.pattern != parsed.text:
            raise RouteConflict(
                f"{method} {pattern} matches the same paths as {endpoint.pattern}, "
                "which is registered with other parameter names"
            )
        elif endpoint.has_c(method):
            raise RouteConflict(
                f"{method} {pattern} is registered already, as {method} {endpoint.pattern}"
            )
        endpoint.put_c(method, value)
        self.entries.append((method, endpoint.pattern, value))

    def match(self, str method not None, object path not None):
        cdef bytes octets = path.encode() if isinstance(path, str) else path
        cdef bytes token = method.encode()
        cdef PathParams params
        cdef Endpoint endpoint = self.match_c(octets, len(octets), &params)
        if endpoint is None:
            return None
        value = endpoint.find_c(METHODS.get(method, METHOD_OTHER), token, len(token))
        if value is None:
            return None
        return value, endpoint.params_c(octets, &params)

    def allowed(self, object path not None):
        cdef bytes octets = path.encode() if isinstance(path, str) else path
        cdef PathParams params
        cdef Endpoint endpoint = self.match_c(octets, len(octets), &params)
        return () if endpoint is None else endpoint.methods

    def routes(self):
        return list(self.entries)

    cdef Endpoint match_c(self, const char* path, Py_ssize_t size, PathParams* params):
        cdef PyObject* found
        if size > UINT32_MAX:
            return None
        found = find(self.nodes, path, <uint32_t>size, params)
        return None if found == NULL else <Endpoint>found

    cdef Endpoint insert_c(self, pattern):
        cdef Endpoint endpoint = Endpoint(pattern.text, pattern.names)
        cdef uint32_t at = 0
        cdef Py_ssize_t skip = 1                # the root has taken the first slash
        cdef bytes octets
        for piece in pattern.pieces:
            if piece is None:
                at = self.insert_param_c(at)
            else:
                octets = piece
                at = self.insert_literal_c(at, <const char*>octets + skip, len(octets) - skip)
            skip = 0
        self.endpoints.append(endpoint)
        self.shapes[pattern.shape] = endpoint
        if pattern.catch_all:
            self.nodes[at].rest = <PyObject*>endpoint
        else:
            self.nodes[at].endpoint = <PyObject*>endpoint
        return endpoint

    cdef uint32_t insert_literal_c(self, uint32_t at, const char* text, Py_ssize_t size) except? 0:
        # The node at the end of text below the node at, made as far as it is missing.
        cdef uint32_t child
        cdef Py_ssize_t common
        cdef Node* node
        while size:
            child = child_of(self.nodes + at, text[0])
            if child == 0:
                child = self.new_node_c()
                node = self.nodes + child
                node.label_size = <uint8_t>min(size, <Py_ssize_t>LABEL_MAX)
                memcpy(node.label, text, node.label_size)
                self.adopt_c(at, text[0], child)
            node = self.nodes + child
            common = 1
            while common < min(size, node.label_size) and node.label[common] == text[common]:
                common += 1
            if common < node.label_size:
                child = self.split_c(child, common)
            at = child
            text += common
            size -= common
        return at

    cdef uint32_t insert_param_c(self, uint32_t at) except 0:
        cdef uint32_t child = self.nodes[at].param
        if child == 0:
            child = self.new_node_c()
            self.nodes[child].is_param = True
            self.nodes[child].parent = at
            self.nodes[at].param = child
        return child

    cdef uint32_t split_c(self, uint32_t lower, Py_ssize_t size) except 0:
        # Put a node that has the first size octets of the label between lower and its parent.
        cdef uint32_t upper = self.new_node_c()
        cdef Node* node = self.nodes + lower
        cdef Node* parent = self.nodes + node.parent
        cdef const char* slot = <const char*>memchr(octets_of(parent), node.label[0], parent.child_count)
        self.nodes[upper].label_size = <uint8_t>size
        self.nodes[upper].parent = node.parent
        memcpy(self.nodes[upper].label, node.label, size)
        self.adopt_c(upper, node.label[size], lower)
        parent.children[slot - octets_of(parent)] = upper
        node.label_size -= <uint8_t>size
        memmove(node.label, node.label + size, node.label_size)
        return upper

    cdef int adopt_c(self, uint32_t parent, char octet, uint32_t child) except -1:
        cdef Node* node = self.nodes + parent
        cdef Py_ssize_t capacity = node.child_capacity
        cdef uint32_t* children
        if node.child_count == capacity:
            capacity = min(max(2 * capacity, FIRST_CHILDREN), MOST_CHILDREN)
            children = <uint32_t*>malloc(capacity * (sizeof(uint32_t) + 1))
            if children == NULL:
                raise MemoryError()
            if node.child_count:
                memcpy(children, node.children, node.child_count * sizeof(uint32_t))
                memcpy(children + capacity, octets_of(node), node.child_count)
            free(node.children)
            node.children = children
            node.child_capacity = <uint8_t>capacity
        node.children[node.child_count] = child
        (<char*>octets_of(node))[node.child_count] = octet
        node.child_count += 1
        self.nodes[child].parent = parent
        return 0

    cdef uint32_t new_node_c(self) except 0:
        # Pointers into nodes are void after this.
        cdef uint32_t index = self.node_count
        cdef Node* nodes
        if index == self.node_capacity:
            nodes = <Node*>realloc(self.nodes, 2 * <size_t>index * sizeof(Node))
            if nodes == NULL:
                raise MemoryError()
            self.nodes = nodes
            self.node_capacity = 2 * index
        memset(self.nodes + index, 0, sizeof(Node))
        self.node_count += 1
        return index
