/* Openloop: asks at fixed times, whether or not answers come, so that a slow server cannot slow
 * down its own load (no coordinated omission).
 * One epoll loop, one request in flight per keep-alive connection. A request whose time has come
 * and that finds no free connection waits here; its latency counts from its time all the same.
 * The arithmetic is the reader's: one record per request goes to standard output, in order of time.
 * usage: openloop PORT CONNECTIONS TIMEOUT_MS RATExSECONDS[,RATExSECONDS...] PATH [PATH...]
 *   Paths take turns. OPENLOOP_FIELDS: header fields for all requests, each ended by CR LF.
 * output: "start NS\n" (CLOCK_MONOTONIC of the first request) once all connections stand, at the
 *   end, or at SIGTERM, the records: four int64 each, see struct record. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 60000
#define MAX_PATHS 16
#define MAX_PHASES 64
#define IN_CAP 4096
#define EVENTS 256
#define CONNECT_S 20
#define LEAD_NS 50000000LL /* between the last connection and the first request */
#define SECOND 1000000000LL

enum { IDLE = -1, CONNECTING = -2 };             /* a connection's request, if it has none */
enum { LOST = -1, TIMED_OUT = -2, ODD = -3 };    /* a record's status, if it was not answered */

/* Status 0: not answered yet. Times are CLOCK_MONOTONIC, 0: never happened. */
struct record { int64_t due_ns, sent_ns, answered_ns, status; };
struct connection { int fd, have; int64_t request; char in[IN_CAP]; };

static struct record *records;
static int *carriers; /* by request: the connection it went out on */
static int64_t total, next, oldest, finished; /* next: to be sent; all before oldest have finished */
static struct connection *connections;
static int *unused, unused_count;
static char requests[MAX_PATHS][2048];
static int path_count, ep;
static int64_t timeout_ns;
static volatile sig_atomic_t stopped;
static struct sockaddr_in server = {.sin_family = AF_INET};

static void die(const char *what) { perror(what); exit(1); }

static void stop(int number) { stopped = number; }

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void connect_again(int index) {
    struct connection *c = &connections[index];
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = (uint32_t)index};
    int one = 1;
    if (c->fd >= 0) close(c->fd);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    c->have = 0, c->request = CONNECTING;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) die("connect");
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev)) die("epoll_ctl");
}

static void set_free(int index) {
    connections[index].request = IDLE;
    unused[unused_count++] = index;
}

static void finish(int64_t request, int64_t status, int64_t at_ns) {
    records[request].status = status;
    records[request].answered_ns = at_ns;
    finished++;
}

/* The connection is of no more use: its request, if any, ends so, and another takes its place. */
static void give_up(int index, int64_t status) {
    struct connection *c = &connections[index];
    if (c->request >= 0) finish(c->request, status, 0);
    for (int i = 0; c->request == IDLE && i < unused_count; i++)
        if (unused[i] == index) { unused[i] = unused[--unused_count]; break; }
    connect_again(index);
}

static void launch(int64_t now) { /* everything whose time has come, as far as connections go */
    while (next < total && records[next].due_ns <= now) {
        if (now - records[next].due_ns > timeout_ns) { finish(next++, TIMED_OUT, 0); continue; }
        if (!unused_count) return;
        int index = unused[--unused_count];
        struct connection *c = &connections[index];
        const char *request = requests[next % path_count];
        ssize_t size = (ssize_t)strlen(request);
        c->request = next, c->have = 0;
        carriers[next] = index;
        records[next].sent_ns = now_ns();
        next++;
        if (send(c->fd, request, (size_t)size, MSG_NOSIGNAL) != size) give_up(index, LOST);
    }
}

static void expire(int64_t now) { /* all have the same patience, so the oldest lose it first */
    for (; oldest < next; oldest++) {
        if (records[oldest].status) continue;
        if (now - records[oldest].due_ns <= timeout_ns) return;
        give_up(carriers[oldest], TIMED_OUT);
    }
}

/* The status of a whole answer, 0 while there is more to come, ODD for what is not understood. */
static int parse(struct connection *c) {
    char *end = memmem(c->in, (size_t)c->have, "\r\n\r\n", 4);
    if (!end) return c->have == IN_CAP ? ODD : 0;
    char *length = memmem(c->in, (size_t)(end - c->in), "\r\nContent-Length: ", 18);
    if (!length || memcmp(c->in, "HTTP/1.1 ", 9)) return ODD;
    int whole = (int)(end + 4 - c->in) + atoi(length + 18);
    if (whole > IN_CAP || c->have > whole) return ODD;
    return c->have == whole ? atoi(c->in + 9) : 0;
}

static void receive(int index) {
    struct connection *c = &connections[index];
    for (;;) {
        ssize_t got = recv(c->fd, c->in + c->have, (size_t)(IN_CAP - c->have), 0);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0 || c->request < 0) { give_up(index, LOST); return; }
        c->have += (int)got;
        int status = parse(c);
        if (status == ODD) { give_up(index, ODD); return; }
        if (!status) continue;
        finish(c->request, status, now_ns());
        set_free(index);
    }
}

static void handle(struct epoll_event *event) {
    int index = (int)event->data.u32;
    struct connection *c = &connections[index];
    if (c->request == CONNECTING) {
        if (event->events & (EPOLLERR | EPOLLHUP)) { connect_again(index); return; }
        if (event->events & EPOLLOUT) set_free(index);
    }
    if (event->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) receive(index);
}

static void wait_until(int64_t until_ns) {
    struct epoll_event events[EVENTS];
    int64_t left = until_ns - now_ns();
    struct timespec patience = {left > 0 ? left / SECOND : 0, left > 0 ? left % SECOND : 0};
    int count = epoll_pwait2(ep, events, EVENTS, &patience, NULL);
    if (count < 0 && errno != EINTR) die("epoll_pwait2");
    for (int i = 0; i < count; i++) handle(&events[i]);
}

static int64_t next_turn(void) { /* of the clock; answers and connections wake us by themselves */
    int64_t at = oldest < next ? records[oldest].due_ns + timeout_ns + 1 : INT64_MAX;
    if (next < total) {
        int64_t wanted = records[next].due_ns + (unused_count ? 0 : timeout_ns + 1);
        if (wanted < at) at = wanted;
    }
    return at;
}

static void plan(const char *schedule) { /* due times from 0 */
    double rates[MAX_PHASES], seconds[MAX_PHASES], begin = 0;
    int phases = 0, used;
    for (; phases < MAX_PHASES && sscanf(schedule, "%lfx%lf%n", &rates[phases], &seconds[phases], &used) == 2; phases++) {
        total += (int64_t)(rates[phases] * seconds[phases] + 0.5);
        schedule += used + (schedule[used] == ',');
    }
    if (*schedule || !total) { fprintf(stderr, "openloop: bad schedule at '%s'\n", schedule); exit(2); }
    records = calloc((size_t)total, sizeof *records);
    carriers = calloc((size_t)total, sizeof *carriers);
    if (!records || !carriers) die("calloc");
    for (int64_t phase = 0, i = 0; phase < phases; begin += seconds[phase++])
        for (int64_t k = 0, n = (int64_t)(rates[phase] * seconds[phase] + 0.5); k < n; k++)
            records[i++].due_ns = (int64_t)((begin + (double)k / rates[phase]) * SECOND);
}

static void open_all(int count) {
    connections = calloc((size_t)count, sizeof *connections);
    unused = calloc((size_t)count, sizeof *unused);
    if (!connections || !unused) die("calloc");
    alarm(CONNECT_S);
    for (int i = 0; i < count; i++) {
        connections[i].fd = -1;
        connect_again(i);
        while (i - unused_count > 64 && !stopped) wait_until(now_ns() + SECOND); /* leaves the server's backlog room */
    }
    while (unused_count < count && !stopped) wait_until(now_ns() + SECOND);
    alarm(0);
}

int main(int argc, char **argv) {
    int count = argc > 2 ? atoi(argv[2]) : 0;
    path_count = argc - 5;
    if (path_count < 1 || path_count > MAX_PATHS || count < 1 || count > MAX_CONNECTIONS) {
        fputs("usage: openloop PORT CONNECTIONS TIMEOUT_MS RATExSECONDS[,...] PATH [PATH...]\n", stderr);
        return 2;
    }
    const char *fields = getenv("OPENLOOP_FIELDS");
    for (int i = 0; i < path_count; i++)
        snprintf(requests[i], sizeof requests[i], "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", argv[5 + i], fields ? fields : "");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, stop);
    prctl(PR_SET_TIMERSLACK, 1L);
    server.sin_port = htons((uint16_t)atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeout_ns = atoll(argv[3]) * 1000000;
    plan(argv[4]);
    if ((ep = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1");
    open_all(count);
    int64_t start = now_ns() + LEAD_NS;
    for (int64_t i = 0; i < total; i++) records[i].due_ns += start;
    printf("start %lld\n", (long long)start);
    fflush(stdout);
    while (finished < total && !stopped) {
        int64_t now = now_ns();
        launch(now);
        expire(now);
        if (finished < total) wait_until(next_turn());
    }
    fwrite(records, sizeof *records, (size_t)total, stdout);
    return fflush(stdout) ? 1 : 0;
}
