# Owns the reading half of metrics: adding up the lines of all workers (layout.pxd), and writing the sums as text,
# Prometheus' 0.0.4 or OpenMetrics 1.0.0. Must not know who asks, nor asyncio: it goes in steps, of which the caller
# makes as many as it likes at a time.
#
# Workers count on while they are read. Each number is read once, whole, and a histogram's count is made of its
# buckets; so what is told is consistent in itself, and never falls from one scrape to the next. Names are read after
# the counts that go by them, when they are there for certain; one that has several identities is one all the same.
#
# The order is that of names and labels, so that two scrapes differ in numbers alone. Histograms, of which there
# are thousands of lines, are written in C; the few single numbers in Python.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, qsort, realloc
from libc.string cimport memcpy, memset, strlen
from highperf.observe.exchange cimport ENDING_CUT, ENDING_LEFT
from highperf.observe.layout cimport (
    BUCKETS, CELL_FIRST_SHIFT, CELL_SECOND_SHIFT, ENDING_MASK, FAMILY_ACTIVE_REQUESTS, FAMILY_BREAKER_STATE,
    FAMILY_BREAKER_TRANSITIONS, FAMILY_CONNECTIONS, FAMILY_CONNECTION_ERRORS, FAMILY_DEADLINES_MISSED,
    FAMILY_LOG_DROPPED, FAMILY_LOOP_LAG_NS, FAMILY_MASK, FAMILY_OPEN_CONNECTIONS, FAMILY_POOL_HELD_BYTES,
    FAMILY_POOL_HITS, FAMILY_POOL_IN_USE, FAMILY_POOL_MISSES, FAMILY_RATE_LIMIT, FAMILY_REJECTED,
    FAMILY_RESIDENT_BYTES, FAMILY_RESTARTS, FAMILY_SPANS_DROPPED, KEY_ENDING_SHIFT, KEY_METHOD_SHIFT, KEY_MINOR_SHIFT,
    KEY_ROUTE_SHIFT, KEY_SECURE_SHIFT, METHOD_MASK, METRIC_BLOCKS, METRIC_CELLS, METRIC_LINES, METRIC_NAMES,
    NAME_FIRST, NAME_MASK, NAME_OTHER, NAME_TEXT_BYTES, NAME_UNMATCHED, NAME_WRITTEN, STATUS_MASK, Block, MetricLine,
    spread,
)
from highperf.observe.metrics cimport MetricTable
from highperf.segment cimport Segment, load_word
from highperf.wire.buffers cimport Buffer
from highperf.wire.methods cimport METHOD_COUNT
from highperf.wire.writing cimport put, put_decimal, put_padded

from operator import itemgetter

from highperf.wire import router

cdef enum:
    WORKER_MASK = 0x7FFF
    WORKER_SHIFT = 48           # where a sum's key has the line of a number that is one worker's own
    FIRST_CAPACITY = 512
    PART_BYTES = 32 * 1024      # of the text that one step makes; some 30 us
    LINE_BYTES = 128            # of a line, besides its labels
    SECOND_NS = 1_000_000_000

cdef uint64_t ROUTE_BITS = <uint64_t>NAME_MASK << KEY_ROUTE_SHIFT

cdef str REQUESTS = "http_server_request_duration_seconds"
cdef bytes REQUESTS_TEXT = b"http_server_request_duration_seconds"
cdef str OTHER = "_OTHER"
cdef tuple METHODS = router.METHOD_NAMES

ctypedef const char* Text

cdef Text[BUCKETS] LIMITS = [           # upper ones, of the buckets
    b"0.005", b"0.01", b"0.025", b"0.05", b"0.075", b"0.1", b"0.25", b"0.5", b"0.75", b"1.0", b"2.5", b"5.0",
    b"7.5", b"10.0", b"+Inf",
]

# What is told of single numbers: family, name, kind, unit, label of the first and of the second name, words.
# "worker" stands for the line that the number is of.
cdef list CELLS = [
    (FAMILY_LOG_DROPPED, "highperf_access_log_dropped_total", "counter", "", None, None,
     "Lines of the access log that were left out because nobody took them."),
    (FAMILY_POOL_IN_USE, "highperf_buffer_pool_buffers", "gauge", "", None, None, "Buffers that are in use."),
    (FAMILY_POOL_HELD_BYTES, "highperf_buffer_pool_bytes", "gauge", "bytes", None, None,
     "Memory of buffers that are kept for reuse."),
    (FAMILY_POOL_HITS, "highperf_buffer_pool_hits_total", "counter", "", None, None,
     "Buffers that could be used again."),
    (FAMILY_POOL_MISSES, "highperf_buffer_pool_misses_total", "counter", "", None, None,
     "Buffers that had to be allocated."),
    (FAMILY_BREAKER_STATE, "highperf_circuit_breaker_state", "gauge", "", "name", "state",
     "1 for the state that a circuit breaker is in."),
    (FAMILY_BREAKER_TRANSITIONS, "highperf_circuit_breaker_transitions_total", "counter", "", "name", "state",
     "How often a circuit breaker came to a state."),
    (FAMILY_CONNECTION_ERRORS, "highperf_connection_errors_total", "counter", "", "reason", None,
     "Connections that ended badly."),
    (FAMILY_OPEN_CONNECTIONS, "highperf_connections", "gauge", "", "state", None, "Connections that are open."),
    (FAMILY_CONNECTIONS, "highperf_connections_total", "counter", "", None, None, "Connections that were accepted."),
    (FAMILY_DEADLINES_MISSED, "highperf_deadlines_missed_total", "counter", "", None, None,
     "Requests that were not answered by their deadline."),
    (FAMILY_LOOP_LAG_NS, "highperf_event_loop_lag_seconds", "gauge", "seconds", "worker", None,
     "The longest turn of a worker's event loop of late."),
    (FAMILY_RATE_LIMIT, "highperf_rate_limit_total", "counter", "", "policy", "outcome",
     "Requests that a rate limit was asked about."),
    (FAMILY_REJECTED, "highperf_requests_rejected_total", "counter", "", "reason", None,
     "Requests that were refused before a handler ran, or given up."),
    (FAMILY_SPANS_DROPPED, "highperf_spans_dropped_total", "counter", "", None, None,
     "Spans that were left out because the exporter did not take them."),
    (FAMILY_RESIDENT_BYTES, "highperf_worker_resident_memory_bytes", "gauge", "bytes", "worker", None,
     "Memory of a worker process that is in RAM."),
    (FAMILY_RESTARTS, "highperf_worker_restarts_total", "counter", "", "reason", None,
     "Worker processes that were started in the place of another."),
    (FAMILY_ACTIVE_REQUESTS, "http_server_active_requests", "gauge", "", None, None,
     "Requests that are being answered."),
]
cdef list STATES = ["", "closed", "open", "half-open", "ramp"]      # of a breaker, by what layout calls them
cdef frozenset OF_ONE_WORKER = frozenset({FAMILY_LOOP_LAG_NS, FAMILY_RESIDENT_BYTES})


# ---- adding up --------------------------------------------------------------------------------


@cython.final
cdef class Sums:
    def __cinit__(self, Segment segment not None, int own_line):
        self.segment = segment
        self.table = MetricTable(segment)
        self.own_line = own_line
        self.cells = {}
        self.grow_c()

    def __dealloc__(self):
        free(self.blocks)
        free(self.places)

    def step(self):
        # Adds what one line has; False: that was all.
        while self.next_line < METRIC_LINES:
            self.next_line += 1
            if self.table.has_c(self.next_line - 1):
                self.add_line_c(self.next_line - 1)
                return True
        if self.names is None:
            self.finish_c()
        return False

    cdef int add_line_c(self, int line) except -1:
        cdef const MetricLine* memory = <const MetricLine*>self.segment.area_c(f"metrics {line}", sizeof(MetricLine))
        cdef const Block* block
        cdef Block* sum_
        cdef uint64_t key
        cdef int index, bucket
        for index in range(METRIC_BLOCKS):
            block = &memory.blocks[index]
            key = load_word(&block.key)
            if key == 0:
                break
            sum_ = self.block_c(key)
            sum_.sum_ns += block.sum_ns
            for bucket in range(BUCKETS):
                sum_.buckets[bucket] += block.buckets[bucket]
        return self.add_cells_c(memory, line)

    cdef int add_cells_c(self, const MetricLine* memory, int line) except -1:
        cdef uint64_t key
        cdef int index, family
        for index in range(METRIC_CELLS):
            key = load_word(&memory.cells[index].key)
            if key == 0:
                break
            family = key & FAMILY_MASK
            if family in OF_ONE_WORKER:
                if memory.cells[index].value == 0:
                    continue                    # there is no such worker now
                key |= <uint64_t>line << WORKER_SHIFT
            elif family == FAMILY_BREAKER_STATE and line != self.own_line:
                continue                        # which all have in common, but not all have looked at just now
            self.cells[key] = self.cells.get(key, 0) + memory.cells[index].value
        return 0

    cdef Block* block_c(self, uint64_t key) except NULL:
        cdef Py_ssize_t place = <Py_ssize_t>(spread(key) >> 20) & (self.place_count - 1)
        cdef Block* block
        while self.places[place] >= 0:
            block = &self.blocks[self.places[place]]
            if block.key == key:
                return block
            place = (place + 1) & (self.place_count - 1)
        if self.count == self.capacity:
            self.grow_c()
            return self.block_c(key)
        block = &self.blocks[self.count]
        memset(block, 0, sizeof(Block))
        block.key = key
        self.places[place] = <int>self.count
        self.count += 1
        return block

    cdef int grow_c(self) except -1:
        cdef Py_ssize_t index, place, capacity = max(<Py_ssize_t>FIRST_CAPACITY, 2 * self.capacity)
        cdef Block* blocks = <Block*>realloc(self.blocks, capacity * sizeof(Block))
        cdef int* places
        if blocks == NULL:
            raise MemoryError()
        self.blocks = blocks
        places = <int*>realloc(self.places, 2 * capacity * sizeof(int))
        if places == NULL:
            raise MemoryError()
        self.places = places
        self.capacity = capacity
        self.place_count = 2 * capacity
        memset(places, 0xFF, self.place_count * sizeof(int))        # -1 each
        for index in range(self.count):
            place = <Py_ssize_t>(spread(blocks[index].key) >> 20) & (self.place_count - 1)
            while places[place] >= 0:
                place = (place + 1) & (self.place_count - 1)
            places[place] = <int>index
        return 0

    cdef int finish_c(self) except -1:
        # Puts the rank of its name in the place of a route's identity, so that keys sort as the text does.
        cdef Py_ssize_t index, last = -1
        cdef uint64_t route
        cdef int bucket
        cdef list ranks
        self.names = names_of(self.table)
        texts = sorted(set(self.names))
        rank_of = {text: rank for rank, text in enumerate(texts)}
        ranks = [rank_of[text] for text in self.names]
        for index in range(self.count):
            route = self.blocks[index].key >> KEY_ROUTE_SHIFT & NAME_MASK
            if route >= <uint64_t>len(ranks):
                route = NAME_OTHER
            route = ranks[route]
            self.blocks[index].key = (self.blocks[index].key & ~ROUTE_BITS) | route << KEY_ROUTE_SHIFT
        qsort(self.blocks, self.count, sizeof(Block), compare_keys)
        for index in range(self.count):
            if last >= 0 and self.blocks[last].key == self.blocks[index].key:
                self.blocks[last].sum_ns += self.blocks[index].sum_ns
                for bucket in range(BUCKETS):
                    self.blocks[last].buckets[bucket] += self.blocks[index].buckets[bucket]
                continue
            last += 1
            if last != index:
                memcpy(&self.blocks[last], &self.blocks[index], sizeof(Block))
        self.count = last + 1
        self.texts = texts
        return 0

    cdef str name_c(self, uint64_t identity):
        return self.names[identity] if identity < <uint64_t>len(self.names) else OTHER


cdef int compare_keys(const void* one, const void* other) noexcept nogil:
    cdef uint64_t mine = (<const Block*>one).key, theirs = (<const Block*>other).key
    return (mine > theirs) - (mine < theirs)


cdef list names_of(MetricTable table):
    # By identity. One that is being written, or that cannot be read, goes by the name of what has none.
    cdef list names = [""] * NAME_FIRST
    cdef uint64_t state
    cdef int index
    names[NAME_UNMATCHED] = ""
    names[NAME_OTHER] = OTHER
    for index in range(METRIC_NAMES):
        state = load_word(&table.names.entries[index].state)
        if state == 0:
            break
        if state & NAME_WRITTEN and table.names.entries[index].size <= NAME_TEXT_BYTES:
            text = table.names.entries[index].text[:table.names.entries[index].size]
            names.append(text.decode("utf-8", "replace"))
        else:
            names.append(OTHER)
    return names


# ---- writing ----------------------------------------------------------------------------------


@cython.final
cdef class Exposition:
    def __init__(self, Segment segment not None, int own_line, *, bint openmetrics=False, facts=()):
        self.sums = Sums(segment, own_line)
        self.openmetrics = openmetrics
        self.facts = tuple(facts)
        self.out = Buffer(2 * PART_BYTES)
        self.labels = Buffer(1024)
        names = {REQUESTS, *[name for _, name, *_ in CELLS], *[name for name, *_ in self.facts]}
        self.families = frozenset(names | {name.removesuffix("_total") for name in names})

    def step(self):
        return self.sums.step()

    def parts(self):
        # All families in the order of their names.
        cdef Buffer out = self.out
        cdef Py_ssize_t index
        families = [(family[1], self.put_cells, family) for family in CELLS]
        families += [(fact[0], self.put_fact, fact) for fact in self.facts]
        families.append((REQUESTS, None, None))
        while self.sums.step():
            pass
        for name, put, family in sorted(families, key=itemgetter(0)):
            if put is not None:
                put(family)
            elif self.sums.count:
                self.put_head_c(name, "histogram", "seconds", "Time from a request's head to the end of its answer.")
                for index in range(self.sums.count):
                    self.put_series_c(&self.sums.blocks[index])
                    if out.size >= PART_BYTES:
                        yield self.taken_c()
            if out.size >= PART_BYTES:
                yield self.taken_c()
        if out.size:
            yield self.taken_c()

    cdef bytes taken_c(self):
        cdef bytes part = self.out.data[:self.out.size]
        self.out.size = 0
        return part

    cdef int put_c(self, str text) except -1:
        cdef bytes octets = text.encode()
        return self.out.append_c(<const char*>octets, len(octets))

    cdef int put_head_c(self, str name, str kind, str unit, str words) except -1:
        # OpenMetrics calls a counter by its name without "_total". The one that would then have the name of a
        # gauge keeps its own, and no kind.
        if self.openmetrics and kind == "counter":
            if name == "highperf_connections_total":
                kind = "unknown"
            else:
                name = name.removesuffix("_total")
        self.put_c(f"# HELP {name} {words}\n# TYPE {name} {kind}\n")
        if unit and self.openmetrics:
            self.put_c(f"# UNIT {name} {unit}\n")
        return 0

    def put_fact(self, tuple fact not None):
        name, kind, unit, words, samples = fact
        self.put_head_c(name, kind, unit, words)
        for labels, value in samples:
            self.put_c(f"{name}{labels_text(labels.items())} {value}\n")

    def put_cells(self, tuple family not None):
        number, name, kind, unit, first, second, words = family
        cdef dict values = self.values_of(number, first, second)
        if first is None:
            values.setdefault((), 0)
        if number == FAMILY_BREAKER_STATE:
            values = {
                (*labels, (second, state)): int(state == STATES[value])
                for labels, value in values.items() if 0 < value < len(STATES)      # 0: there is none of this name now
                for state in STATES[1:]
            }
        if not values:
            return
        self.put_head_c(name, kind, unit, words)
        for labels, value in sorted(values.items()):
            shown = seconds_text(value) if unit == "seconds" else value
            self.put_c(f"{name}{labels_text(labels)} {shown}\n")

    def values_of(self, int number, str first, str second):
        # The family's values by their labels; names that have several identities are one.
        cdef dict values = {}
        cdef uint64_t key
        for key, value in self.sums.cells.items():
            if key & FAMILY_MASK != <uint64_t>number:
                continue
            labels = ()
            if first == "worker":
                labels = ((first, f"{key >> WORKER_SHIFT & WORKER_MASK}"),)
            elif first is not None:
                labels = ((first, self.sums.name_c(key >> CELL_FIRST_SHIFT & NAME_MASK)),)
                if second is not None and number != FAMILY_BREAKER_STATE:
                    labels += ((second, self.sums.name_c(key >> CELL_SECOND_SHIFT & NAME_MASK)),)
            values[labels] = values.get(labels, 0) + value
        return values

    cdef int put_series_c(self, const Block* block) except -1:
        cdef uint64_t count = 0
        cdef int bucket
        self.put_labels_c(block.key)
        for bucket in range(BUCKETS):
            count += block.buckets[bucket]
            self.put_line_c(b"_bucket", LIMITS[bucket], count)
        self.put_line_c(b"_count", NULL, count)
        return self.put_sum_c(block.sum_ns)

    cdef int put_labels_c(self, uint64_t key) except -1:
        # Once for each series: most of each of its lines.
        cdef int status = key & STATUS_MASK
        cdef int method = key >> KEY_METHOD_SHIFT & METHOD_MASK
        cdef int ending = key >> KEY_ENDING_SHIFT & ENDING_MASK
        cdef list labels = [
            ("http_request_method", METHODS[method] if method < METHOD_COUNT else OTHER),
            ("http_route", self.sums.texts[key >> KEY_ROUTE_SHIFT & NAME_MASK]),
            ("http_response_status_code", str(status) if status else ""),
            ("url_scheme", "https" if key >> KEY_SECURE_SHIFT & 1 else "http"),
            ("network_protocol_version", "1.1" if key >> KEY_MINOR_SHIFT & 1 else "1.0"),
        ]
        if status >= 500:
            labels.append(("error_type", str(status)))
        elif ending == ENDING_CUT:
            labels.append(("error_type", "aborted"))
        elif ending == ENDING_LEFT:
            labels.append(("error_type", "client_disconnected"))
        cdef bytes text = labels_text(labels).encode()
        self.labels.size = 0
        return self.labels.append_c(<const char*>text, len(text) - 1)

    cdef int put_line_c(self, const char* suffix, const char* limit, uint64_t number) except -1:
        cdef char* at
        cdef Buffer out = self.out
        out.reserve_c(self.labels.size + LINE_BYTES)
        at = put(out.data + out.size, PyBytes_AS_STRING(REQUESTS_TEXT), PyBytes_GET_SIZE(REQUESTS_TEXT))
        at = put(at, suffix, strlen(suffix))
        at = put(at, self.labels.data, self.labels.size)
        if limit != NULL:
            at = put(at, b',le="', 5)
            at = put(at, limit, strlen(limit))
            at = put(at, b'"', 1)
        at = put(at, b"} ", 2)
        at = put_decimal(at, number)
        at[0] = 10
        out.size = at + 1 - out.data
        return 0

    cdef int put_sum_c(self, uint64_t sum_ns) except -1:
        # A count of seconds, with the fraction behind it.
        cdef Buffer out = self.out
        self.put_line_c(b"_sum", NULL, sum_ns // SECOND_NS)
        out.reserve_c(LINE_BYTES)
        out.data[out.size - 1] = 46
        put_padded(out.data + out.size, sum_ns % SECOND_NS, 9)
        out.data[out.size + 9] = 10
        out.size += 10
        return 0


cdef str labels_text(labels):
    cdef str inside = ",".join([f'{name}="{escaped(value)}"' for name, value in labels])
    return f"{{{inside}}}" if inside else ""


cdef str escaped(str value):
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


cdef str seconds_text(value):
    return f"{value // SECOND_NS}.{value % SECOND_NS:09d}"
