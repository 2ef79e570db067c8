/*
 * Load for the mail gateway: threads that send messages of a given size through it, each on a
 * connection of its own, and the next hop that takes them. Run by tests/bench/mailgate.py:
 *   bench_mailgate GATE-PORT SINK-PORT SENDERS MESSAGES SIZE FROM TO[,TO...]
 * Prints messages a second. Every message must be answered 250 and arrive.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 256 * 1024, THREADS_MAX = 64 };

typedef struct {
    int gate_port, sink_port, senders, messages, size;
    char *from, *to;
    int sink;
    _Atomic long next, taken;
} bench_t;

typedef struct {
    int fd;
    size_t n, at;
    char room[ROOM];
} stream_t;

typedef struct {
    bench_t *bench;
    int fd;
} client_t;

static void die(const char *what) {
    (void)fprintf(stderr, "bench_mailgate: %s\n", what);
    exit(1);
}

static void put(int fd, const char *data, size_t n) {
    while (n) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
        if (sent <= 0) die("send");
        data += sent;
        n -= (size_t)sent;
    }
}

static void say(int fd, const char *text) { put(fd, text, strlen(text)); }

/* One line without its end, or NULL at the end of the connection. */
static char *line_of(stream_t *s) {
    for (;;) {
        char *from = s->room + s->at, *end = memchr(from, '\n', s->n - s->at);
        if (end) {
            *end = '\0';
            s->at = (size_t)(end - s->room) + 1;
            return from;
        }
        memmove(s->room, from, s->n - s->at);
        s->n -= s->at;
        s->at = 0;
        if (s->n == ROOM) die("a line is too long");
        ssize_t got = recv(s->fd, s->room + s->n, ROOM - s->n, 0);
        if (got <= 0) return NULL;
        s->n += (size_t)got;
    }
}

/* ---- the next hop ---- */

static void *serve(void *arg) {
    client_t *c = arg;
    stream_t *s = calloc(1, sizeof *s);
    if (!s) die("memory");
    s->fd = c->fd;
    say(c->fd, "220 sink\r\n");
    for (char *line = NULL; (line = line_of(s));) {
        if (strncmp(line, "EHLO", 4) == 0)
            say(c->fd, "250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
        else if (strncmp(line, "DATA", 4) == 0) {
            say(c->fd, "354 go\r\n");
            while ((line = line_of(s)) && strcmp(line, ".\r") != 0) continue;
            if (!line) break;
            c->bench->taken++;
            say(c->fd, "250 ok\r\n");
        } else if (strncmp(line, "QUIT", 4) == 0) break;
        else say(c->fd, "250 ok\r\n");
    }
    (void)close(c->fd);
    free(s);
    free(c);
    return NULL;
}

static void *serve_all(void *arg) {
    bench_t *b = arg;
    for (;;) {
        client_t *c = calloc(1, sizeof *c);
        pthread_t thread = 0;
        if (!c) die("memory");
        c->bench = b;
        int on = 1; /* as servers do: else each reply but the first waits for a delayed ACK */
        c->fd = accept(b->sink, NULL, NULL);
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (c->fd < 0 || pthread_create(&thread, NULL, serve, c) != 0) die("accept");
        (void)pthread_detach(thread);
    }
    return NULL;
}

/* ---- senders ---- */

static void expect(stream_t *s, char first) {
    char *line = NULL;
    do line = line_of(s);
    while (line && line[3] == '-');
    if (!line || line[0] != first) die(line ? line : "the gateway closed the connection");
}

static size_t write_message(const bench_t *b, long number, char *out, size_t room) {
    int n = snprintf(out, room,
                     "From: <%s>\r\nTo: %s\r\nSubject: bench\r\nMessage-ID: <%ld@example.org>\r\n"
                     "Date: Mon, 02 Nov 2026 10:00:00 +0000\r\n\r\n",
                     b->from, b->to, number);
    if (n < 0) die("message");
    size_t at = (size_t)n;
    while (at < (size_t)b->size)
        at += (size_t)snprintf(out + at, room - at, "%060ld some more text\r\n", number);
    return at + (size_t)snprintf(out + at, room - at, ".\r\n");
}

static void send_one(const bench_t *b, stream_t *s, long number, char *out) {
    size_t at = (size_t)snprintf(out, ROOM, "MAIL FROM:<%s>\r\n", b->from), rcpts = 0;
    const char *to = b->to;
    while (*to) {
        size_t n = strcspn(to, ",");
        at += (size_t)snprintf(out + at, ROOM - at, "RCPT TO:<%.*s>\r\n", (int)n, to);
        to += n + (to[n] == ',');
        rcpts++;
    }
    at += (size_t)snprintf(out + at, ROOM - at, "DATA\r\n");
    put(s->fd, out, at);
    for (size_t i = 0; i < rcpts + 1; i++) expect(s, '2');
    expect(s, '3');
    put(s->fd, out, write_message(b, number, out, ROOM));
    expect(s, '2');
}

static int connect_to(int port) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&in, sizeof in) != 0) die("connect");
    return fd;
}

static void *send_all(void *arg) {
    bench_t *b = arg;
    stream_t *s = calloc(1, sizeof *s);
    char *out = malloc(ROOM);
    if (!s || !out) die("memory");
    s->fd = connect_to(b->gate_port);
    expect(s, '2');
    say(s->fd, "EHLO bench\r\n");
    expect(s, '2');
    for (long i = 0; (i = b->next++) < b->messages;) send_one(b, s, i, out);
    say(s->fd, "QUIT\r\n");
    (void)close(s->fd);
    free(out);
    free(s);
    return NULL;
}

static void listen_on(bench_t *b) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)b->sink_port)};
    int on = 1;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    b->sink = socket(AF_INET, SOCK_STREAM, 0);
    (void)setsockopt(b->sink, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(b->sink, (const struct sockaddr *)&in, sizeof in) != 0 || listen(b->sink, 100) != 0)
        die("cannot listen");
}

static double seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    static bench_t b;
    pthread_t sink, threads[THREADS_MAX];
    if (argc != 8) die("see the head of bench_mailgate.c");
    b.gate_port = (int)strtol(argv[1], NULL, 10);
    b.sink_port = (int)strtol(argv[2], NULL, 10);
    b.senders = (int)strtol(argv[3], NULL, 10);
    b.messages = (int)strtol(argv[4], NULL, 10);
    b.size = (int)strtol(argv[5], NULL, 10);
    b.from = argv[6];
    b.to = argv[7];
    if (b.senders > THREADS_MAX || b.size > ROOM / 2) die("too much");
    listen_on(&b);
    if (pthread_create(&sink, NULL, serve_all, &b) != 0) die("threads");
    double began = seconds();
    for (int i = 0; i < b.senders; i++)
        if (pthread_create(&threads[i], NULL, send_all, &b) != 0) die("threads");
    for (int i = 0; i < b.senders; i++) (void)pthread_join(threads[i], NULL);
    double took = seconds() - began;
    if (b.taken < b.messages) die("messages are missing");
    printf("%.1f\n", b.messages / took);
    return 0;
}
