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


def endpoint(Router router, bytes path):
    cdef PathParams params
    return router.match_c(path, len(path), &params)


def match_often(Router router, bytes path, int times):
    """Whether the last of so many matches was answered."""
    cdef PathParams params
    cdef Endpoint found = None
    for _ in range(times):
        found = router.match_c(path, len(path), &params)
    return found is not None


def allow_field(Endpoint endpoint):
    return endpoint.allow_c()
