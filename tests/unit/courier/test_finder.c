/* Names to addresses for many mailboxes: src/program/courier/finder.h, with a resolver of our own.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../unit.h"
#include "program/courier/finder.h"

/* ---- a resolver that says nothing of "dead" until it is told to ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool revived;
static unsigned waiting, asked;

/* The linker's names (--wrap): the resolver's own, and what is called in its place. */
int true_getaddrinfo(const char *, const char *, const struct addrinfo *,
                     struct addrinfo **) __asm__("__real_getaddrinfo");
int own_getaddrinfo(const char *, const char *, const struct addrinfo *,
                    struct addrinfo **) __asm__("__wrap_getaddrinfo");

int own_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                    struct addrinfo **list) {
    pthread_mutex_lock(&lock);
    asked++;
    if (strncmp(host, "dead", 4) == 0) {
        waiting++;
        while (!revived) pthread_cond_wait(&changed, &lock);
        waiting--;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    if (strcmp(host, "nobody") == 0) return EAI_NONAME;
    return true_getaddrinfo("127.0.0.1", port, hints, list);
}

static void revive(void) {
    pthread_mutex_lock(&lock);
    revived = true;
    pthread_cond_broadcast(&changed);
    while (waiting) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static unsigned count_asked(void) {
    pthread_mutex_lock(&lock);
    unsigned n = asked;
    pthread_mutex_unlock(&lock);
    return n;
}

/* ---- the finder ---- */

typedef struct {
    clk_fake_t clk;
    int epoll;
    finder_t f;
} find_t;

static void start(find_t *t) {
    clk_fake_init(&t->clk, 1000);
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    finder_init(&t->f, &t->clk.clk, t->epoll);
}

static void end(find_t *t) {
    finder_done(&t->f);
    close(t->epoll);
}

static mail_server_t server(const char *host) {
    mail_server_t s = {.tls = true, .port = "993"};
    (void)snprintf(s.host, sizeof s.host, "%s", host);
    return s;
}

/* Whether it is known; one that is looked for is waited for. */
static const finder_place_t *ask(find_t *t, const char *host) {
    const mail_server_t s = server(host);
    const finder_place_t *place = NULL;
    assert_ok(finder_ask(&t->f, &s, &place));
    return place;
}

static void await(find_t *t) {
    struct epoll_event event;
    assert_int_equal(epoll_wait(t->epoll, &event, 1, 60 * 1000), 1);
    assert_null(event.data.ptr);
    finder_collect(&t->f);
}

static bool quiet(find_t *t) {
    struct epoll_event event;
    return epoll_wait(t->epoll, &event, 1, 0) == 0;
}

static void test_finder__finds_once_for_all_mailboxes(void **state) {
    (void)state;
    find_t t;
    start(&t);
    unsigned before = count_asked();
    assert_null(ask(&t, "imap.example.org"));
    assert_null(ask(&t, "imap.example.org"));
    await(&t);
    const finder_place_t *place = ask(&t, "imap.example.org");
    assert_non_null(place);
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&place->address;
    assert_int_equal(ntohl(in->sin_addr.s_addr), 0x7f000001);
    assert_int_equal(ntohs(in->sin_port), 993);
    assert_int_equal(count_asked(), before + 1);
    assert_true(quiet(&t));
    clk_fake_advance(&t.clk, 3600 * 1000); /* addresses change */
    assert_null(ask(&t, "imap.example.org"));
    await(&t);
    assert_non_null(ask(&t, "imap.example.org"));
    const mail_server_t s = server("imap.example.org");
    finder_forget(&t.f, &s); /* nobody was there */
    assert_null(ask(&t, "imap.example.org"));
    await(&t);
    assert_int_equal(count_asked(), before + 3);
    end(&t);
}

static void test_finder__a_dead_resolver_holds_up_nobody_else(void **state) {
    (void)state;
    char name[20];
    find_t t;
    start(&t);
    for (int i = 0; i < FINDER_PLACES - 1; i++) {
        (void)snprintf(name, sizeof name, "dead%d", i);
        assert_null(ask(&t, name));
    }
    assert_null(ask(&t, "good"));
    await(&t);
    assert_non_null(ask(&t, "good"));
    /* Not even who comes when all places are taken: he waits until one of them gives up. */
    assert_null(ask(&t, "deadlast"));
    assert_null(ask(&t, "other"));
    clk_fake_advance(&t.clk, 31 * 1000);
    finder_collect(&t.f);
    const mail_server_t dead = server("dead0");
    const finder_place_t *place = NULL;
    assert_err(ERR_UNAVAILABLE, finder_ask(&t.f, &dead, &place));
    assert_null(ask(&t, "other"));
    await(&t);
    assert_non_null(ask(&t, "other"));
    end(&t); /* their threads still wait */
    revive();
}

static void test_finder__says_what_it_does_not_find(void **state) {
    (void)state;
    find_t t;
    start(&t);
    const mail_server_t s = server("nobody");
    const finder_place_t *place = NULL;
    assert_null(ask(&t, "nobody"));
    await(&t);
    unsigned before = count_asked();
    for (int i = 0; i < 3; i++) assert_err(ERR_UNAVAILABLE, finder_ask(&t.f, &s, &place));
    assert_int_equal(count_asked(), before);
    assert_true(quiet(&t));
    clk_fake_advance(&t.clk, 6 * 1000); /* and asks again */
    assert_ok(finder_ask(&t.f, &s, &place));
    assert_null(place);
    await(&t);
    end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finder__finds_once_for_all_mailboxes),
        cmocka_unit_test(test_finder__a_dead_resolver_holds_up_nobody_else),
        cmocka_unit_test(test_finder__says_what_it_does_not_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
