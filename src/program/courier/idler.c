/*
 * See idler.h. The thread owns all connections; others only wake and stop it.
 */
#include "program/courier/idler.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/courier/idler_internal.h"

enum {
    EVENTS = 256,
    TICK_MS = 1000,
    LIST_MS = 30 * 1000, /* mailboxes are added by another process, which wakes us; or not */
    PAGE = 500,
    BEGIN = 32, /* sign in at once, so that neither keeper nor server is overrun */
    ARENA = 4 * 1024 * 1024,
};

typedef struct {
    idler_t *idler;
    arena_t *arena;
    const char *after;
    db_mailbox_t *rows;
    size_t count;
} page_t;

static err_t *read_page(db_conn_t *conn, void *arg) {
    page_t *page = arg;
    return db_mailboxes_watched(conn, page->arena, page->after, PAGE, &page->rows, &page->count);
}

static err_t *add(idler_t *idler, const db_mailbox_t *row, idler_conn_t **at) {
    idler_conn_t *c = mem_zalloc(sizeof *c);
    if (!c) return err_nomem();
    c->fd = -1;
    c->kind = strcmp(row->source, "imap") == 0 ? &IDLER_IMAP : &IDLER_EWS;
    c->all = strcmp(row->source, MAILBOX_EWS_ALL) == 0;
    c->account = mem_strdup(row->account);
    c->server = mem_strdup(row->server);
    c->login = mem_strdup(row->login);
    if (!c->account || !c->server || !c->login) {
        idler_conn_free(idler, c);
        return err_nomem();
    }
    c->created_ms = row->created_ms;
    c->seen = true;
    c->next = *at;
    *at = c;
    idler->count++;
    return NULL;
}

/* Both are in order of account: rows join the list where they belong. */
static err_t *merge(idler_t *idler, const db_mailbox_t *row, idler_conn_t ***at) {
    while (**at && strcmp((**at)->account, row->account) < 0) *at = &(**at)->next;
    idler_conn_t *c = **at;
    if (c && strcmp(c->account, row->account) == 0 && c->created_ms == row->created_ms) {
        c->seen = true;
        return NULL;
    }
    return add(idler, row, *at);
}

static void drop_unseen(idler_t *idler) {
    for (idler_conn_t **at = &idler->first; *at;) {
        idler_conn_t *c = *at;
        if (c->seen) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        idler->count--;
        idler_conn_free(idler, c);
    }
}

static err_t *read_list(idler_t *idler) {
    CLEANUP(buf_done) buf_t after;
    idler_conn_t **at = &idler->first;
    buf_init(&after, LIMIT_EMAIL + 1);
    for (idler_conn_t *c = idler->first; c; c = c->next) c->seen = false;
    for (bool more = true; more;) {
        CLEANUP(arena_free) arena_t *arena = NULL;
        page_t page = {.idler = idler};
        TRY(arena_new(ARENA, &arena));
        page.arena = arena;
        TRY(buf_cstr(&after, &page.after));
        TRY(db_read(idler->o.db, read_page, &page));
        for (size_t i = 0; i < page.count; i++) TRY(merge(idler, &page.rows[i], &at));
        more = page.count == PAGE;
        buf_clear(&after);
        if (more) TRY(buf_add_str(&after, page.rows[PAGE - 1].account));
    }
    drop_unseen(idler);
    return NULL;
}

static void tick(idler_t *idler) {
    int64_t now = clk_mono_ms(idler->o.clk);
    if (atomic_exchange(&idler->woken, false) || now >= idler->list_ms) {
        idler->list_ms = now + LIST_MS;
        log_error(idler->o.log, LOG_WARNING, read_list(idler), "list of mailboxes");
    }
    finder_collect(&idler->finder);
    idler->found = false;
    for (idler_conn_t *c = idler->first; c; c = c->next) {
        bool begins = c->state == IDLER_RESTS || c->state == IDLER_FINDS;
        if (!begins || idler->beginning < BEGIN) idler_conn_tick(idler, c, now);
    }
}

/*
 * A connection is freed in a tick alone, so the events of one wait are all of living ones. What is
 * no connection's is somebody who wakes us, or an address that was found.
 */
static void serve(idler_t *idler) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(idler->epoll, events, EVENTS, TICK_MS);
    for (int i = 0; i < n; i++) {
        uint64_t woken = 0;
        if (events[i].data.ptr) idler_conn_step(idler, events[i].data.ptr);
        else idler->found = read(idler->wake_fd, &woken, sizeof woken) < 0 || idler->found;
    }
}

/* Ticks once a second, and at once when it is woken or more may sign in. */
static void *run(void *arg) {
    idler_t *idler = arg;
    int64_t tick_ms = 0;
    while (!atomic_load(&idler->stop)) {
        int64_t now = clk_mono_ms(idler->o.clk);
        bool room = idler->beginning < BEGIN && idler->count > 0;
        if (now >= tick_ms || atomic_load(&idler->woken) || idler->found ||
            (room && now + TICK_MS - 50 >= tick_ms)) {
            tick(idler);
            tick_ms = clk_mono_ms(idler->o.clk) + TICK_MS;
        }
        serve(idler);
    }
    return NULL;
}

/* ---- life ---- */

static void release(idler_t *idler) {
    if (!idler) return;
    while (idler->first) {
        idler_conn_t *c = idler->first;
        idler->first = c->next;
        idler_conn_free(idler, c);
    }
    finder_done(&idler->finder);
    tls_context_free(idler->tls);
    fd_close(idler->epoll);
    fd_close(idler->wake_fd);
    mem_free(idler);
}
DEFINE_CLEANUP(idler_t, release)

err_t *idler_start(const idler_options_t *options, idler_t **ret_idler) {
    CLEANUP(release) idler_t *idler = mem_zalloc(sizeof *idler);
    struct epoll_event event = {.events = EPOLLIN};
    if (!idler) return err_nomem();
    idler->o = *options;
    idler->epoll = idler->wake_fd = -1;
    idler->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (idler->epoll < 0) return err_errno(errno, "epoll");
    finder_init(&idler->finder, idler->o.clk, idler->epoll);
    idler->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (idler->wake_fd < 0) return err_errno(errno, "eventfd");
    if (epoll_ctl(idler->epoll, EPOLL_CTL_ADD, idler->wake_fd, &event) != 0)
        return err_errno(errno, "epoll");
    TRY(tls_context_client(options->ca_pem, &idler->tls));
    idler->o.ca_pem = BYTES_NONE;
    int number = pthread_create(&idler->thread, NULL, run, idler);
    if (number) return err_errno(number, "cannot start the thread that watches mailboxes");
    *ret_idler = STEAL(idler);
    return NULL;
}

void idler_wake(idler_t *idler) {
    const uint64_t one = 1;
    if (!idler) return;
    atomic_store(&idler->woken, true);
    (void)!write(idler->wake_fd, &one, sizeof one);
}

void idler_stop(idler_t *idler) {
    if (!idler) return;
    atomic_store(&idler->stop, true);
    idler_wake(idler);
    (void)pthread_join(idler->thread, NULL);
    release(idler);
}
