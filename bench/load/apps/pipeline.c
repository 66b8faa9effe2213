/* Pipeline: the same request again and again, so many of them in one write, on connections that never
 * rest. It looks at each answer no longer than it must, so that even a server that spends half a
 * microsecond on one is what everybody waits for.
 * usage: pipeline PORT CONNECTIONS DEPTH SECONDS STATUS PATH
 *   PIPELINE_FIELDS: header fields of the request, each ended by CR LF.
 * output: "RIGHT OTHERS\n": answers of that status, and of any other, that were read in that time. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 4096
#define IN_CAP 262144
#define EVENTS 256

struct connection { int fd, have, awaited; char *in; };

static struct connection connections[MAX_CONNECTIONS];
static char *batch;
static int batch_size, depth, head_size, whole_size; /* of the last answer that was parsed */
static char first_line[16];
static long right, others;

static void die(const char *what) { perror(what); exit(1); }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void ask(struct connection *c) {
    if (send(c->fd, batch, (size_t)batch_size, MSG_NOSIGNAL) != batch_size) die("send");
    c->awaited = depth;
}

static int learn(const char *answer, int have) { /* sets the two sizes; 0: there is more to come */
    const char *end = memmem(answer, (size_t)have, "\r\n\r\n", 4);
    if (!end) return 0;
    const char *length = memmem(answer, (size_t)(end - answer), "\r\nContent-Length: ", 18);
    if (!length || memcmp(answer, "HTTP/1.1 ", 9)) { fputs("pipeline: not understood\n", stderr); exit(1); }
    head_size = (int)(end + 4 - answer);
    whole_size = head_size + atoi(length + 18);
    return 1;
}

static void count(struct connection *c) {
    int at = 0, wanted = (int)strlen(first_line);
    while (c->awaited) {
        const char *answer = c->in + at;
        int have = c->have - at;
        /* Answers differ in their digits only; one that ends elsewhere is parsed anew. */
        if (!head_size || have < head_size || memcmp(answer + head_size - 4, "\r\n\r\n", 4))
            if (!learn(answer, have)) break;
        if (have < whole_size) break;
        if (memcmp(answer, first_line, (size_t)wanted)) others++; else right++;
        at += whole_size;
        c->awaited--;
    }
    c->have -= at;
    if (c->have && at) memmove(c->in, c->in + at, (size_t)c->have);
}

static void receive(struct connection *c) {
    ssize_t got = recv(c->fd, c->in + c->have, (size_t)(IN_CAP - c->have), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { fputs("pipeline: the server closed a connection\n", stderr); exit(1); }
    c->have += (int)got;
    count(c);
    if (!c->awaited) ask(c);
}

static void prepare(const char *path) {
    const char *fields = getenv("PIPELINE_FIELDS");
    char *one;
    int size = asprintf(&one, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", path, fields ? fields : "");
    batch_size = size * depth;
    if (size < 0 || !(batch = malloc((size_t)batch_size + 1))) die("malloc");
    for (int i = 0; i < depth; i++) memcpy(batch + i * size, one, (size_t)size + 1);
}

int main(int argc, char **argv) {
    int number = argc == 7 ? atoi(argv[2]) : 0;
    if (number < 1 || number > MAX_CONNECTIONS || (depth = atoi(argv[3])) < 1) {
        fputs("usage: pipeline PORT CONNECTIONS DEPTH SECONDS STATUS PATH\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    prepare(argv[6]);
    snprintf(first_line, sizeof first_line, "HTTP/1.1 %.3s", argv[5]);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1])),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[EVENTS];
    int ep = epoll_create1(EPOLL_CLOEXEC), one = 1;
    for (int i = 0; i < number; i++) {
        struct connection *c = &connections[i];
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        if ((c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0) die("socket");
        if (!(c->in = malloc(IN_CAP))) die("malloc");
        if (connect(c->fd, (struct sockaddr *)&server, sizeof server)) die("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev)) die("epoll_ctl");
        ask(c);
    }
    for (double end = now() + atof(argv[4]); now() < end;) {
        int ready = epoll_wait(ep, events, EVENTS, 0); /* who never sleeps need not be woken, at the server's cost */
        for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
    }
    printf("%ld %ld\n", right, others);
    return 0;
}
