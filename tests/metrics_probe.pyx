# The C-level interface of observe/metrics, for the tests of it: what is counted, read with the slow eyes of Python.

from libc.string cimport memset

from highperf.observe.exchange cimport Exchange
from highperf.observe.layout cimport (
    BUCKETS as _BUCKETS,
    CELL_FIRST_SHIFT,
    CELL_SECOND_SHIFT,
    KEY_ENDING_SHIFT,
    KEY_METHOD_SHIFT,
    KEY_MINOR_SHIFT,
    KEY_ROUTE_SHIFT,
    KEY_SECURE_SHIFT,
    METRIC_BLOCKS as _METRIC_BLOCKS,
    METRIC_CELLS as _METRIC_CELLS,
    METRIC_LINES,
    METRIC_NAMES as _METRIC_NAMES,
    NAME_FIRST,
    Block,
    Cell,
    MetricLine,
    MetricNames,
)
from highperf.observe.metrics cimport Metrics, MetricTable
from highperf.segment cimport Segment, store_word

BUCKETS, METRIC_BLOCKS, METRIC_CELLS, METRIC_NAMES = _BUCKETS, _METRIC_BLOCKS, _METRIC_CELLS, _METRIC_NAMES
METHODS = ("_OTHER", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
ENDINGS = ("sent", "cut", "left")


def identity(MetricTable table, str name):
    return table.identity_c(name)


def claim_and_die(MetricTable table, unsigned long long hash_):
    """What a process leaves that is killed before it has written the name that it claimed an entry for."""
    cdef int index = 0
    while table.names.entries[index].state:
        index += 1
    store_word(&table.names.entries[index].state, (hash_ & ~<unsigned long long>3) | 1)


def die_before_counting(Metrics metrics, unsigned long long key):
    """The same between publishing a block's key and counting in it."""
    metrics.find_c(key, _METRIC_BLOCKS)


def observe(Metrics metrics, int route, *, int method=1, int status=200, int ending=0, int minor=1,
            long long spent_ns=0, long times=1):
    cdef Exchange exchange
    memset(&exchange, 0, sizeof(exchange))
    exchange.begun_ns = 1_000_000_000
    exchange.ended_ns = exchange.begun_ns + spent_ns
    exchange.route_id = route
    exchange.method = method
    exchange.status = status
    exchange.ending = ending
    exchange.minor = minor
    for _ in range(times):
        metrics.observe_c(&exchange)


def observe_many(Metrics metrics, int routes, long calls):
    """Requests to routes by turns, as a benchmark wants them."""
    cdef Exchange exchange
    cdef long call
    memset(&exchange, 0, sizeof(exchange))
    exchange.method = exchange.minor = 1
    exchange.status = 200
    exchange.ended_ns = 1_000_000
    for call in range(calls):
        exchange.route_id = NAME_FIRST + call % routes
        metrics.observe_c(&exchange)


def name_of(Segment segment, int number):
    cdef MetricNames* names = <MetricNames*>segment.area_c("metric names", sizeof(MetricNames))
    if number < NAME_FIRST:
        return (None, "unmatched", "_OTHER")[number]
    entry = names.entries[number - NAME_FIRST]
    return entry.text[:entry.size].decode() if entry.state & 2 else "unwritten"


def lines(Segment segment):
    cdef MetricTable table = MetricTable(segment)
    return [line for line in range(METRIC_LINES) if table.has_c(line)]


cdef MetricLine* line_of(Segment segment, int line) except NULL:
    return <MetricLine*>segment.area_c(f"metrics {line}", sizeof(MetricLine))


def requests(Segment segment, *, lines=None):
    """How many requests by (route, method, status, ending, minor, scheme), summed over lines."""
    return {key: sum(buckets) for key, (_, buckets) in histograms(segment, lines=lines).items()}


def histograms(Segment segment, *, lines=None):
    """(sum_ns, buckets) by the same."""
    cdef Block* block
    cdef int index
    found = {}
    for line in globals()["lines"](segment) if lines is None else lines:
        for index in range(_METRIC_BLOCKS):
            block = &line_of(segment, line).blocks[index]
            if block.key == 0:
                break
            key = (
                name_of(segment, block.key >> KEY_ROUTE_SHIFT & 0xFFFF), METHODS[block.key >> KEY_METHOD_SHIFT & 0xF],
                block.key & 0x3FF, ENDINGS[block.key >> KEY_ENDING_SHIFT & 3], block.key >> KEY_MINOR_SHIFT & 3,
                "https" if block.key >> KEY_SECURE_SHIFT & 1 else "http",
            )
            sum_ns, buckets = found.get(key, (0, [0] * _BUCKETS))
            found[key] = (sum_ns + block.sum_ns, [n + block.buckets[i] for i, n in enumerate(buckets)])
    return found


def numbers(Segment segment, int family, *, lines=None):
    """The values of a family by its labels, without what is zero, summed over lines."""
    cdef Cell* cell
    cdef int index
    found = {}
    for line in globals()["lines"](segment) if lines is None else lines:
        for index in range(_METRIC_CELLS):
            cell = &line_of(segment, line).cells[index]
            if cell.key and cell.key & 0xFF == family and cell.value:
                first = name_of(segment, cell.key >> CELL_FIRST_SHIFT & 0xFFFF)
                second = name_of(segment, cell.key >> CELL_SECOND_SHIFT & 0xFFFF)
                key = tuple(label for label in (first, second) if label is not None)
                found[key] = found.get(key, 0) + cell.value
    return found


def series(Metrics metrics):
    return metrics.used_blocks, metrics.used_cells


def names(Segment segment):
    """How many names have an entry."""
    cdef MetricNames* table = <MetricNames*>segment.area_c("metric names", sizeof(MetricNames))
    return sum([table.entries[index].state != 0 for index in range(_METRIC_NAMES)])
