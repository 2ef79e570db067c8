/*
 * Who can read a message: see recipients.h. Groups are expanded first, then each mailbox is looked
 * up once.
 */
#include "mail/recipients.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "mail/lock_internal.h"

enum { ARENA_MAX = 64 * 1024 * 1024, SLOTS_FIRST = 64 /* a power of two */ };

typedef enum { SEEN_MAILBOX = 1, SEEN_GROUP = 2 } seen_t;

typedef struct {
    bytes_t folded;
    unsigned seen; /* of seen_t */
} slot_t;

typedef struct {
    const mail_book_t *book;
    arena_t *arena; /* the answer's */
    slot_t *slots;  /* open addressing; at most half of `slots_n`, a power of two, are used */
    size_t slots_n, used;
    mail_recipient_t *at;
    bytes_t *folded; /* beside each */
    size_t n, room;
} gather_t;

static void gather_done(gather_t *g) {
    mem_free(g->slots);
    mem_free(g->at);
    mem_free(g->folded);
}
DEFINE_CLEANUP_VALUE(gather_t, gather_done)

/* ---- addresses ---- */

/* local@domain without anything that could be read in two ways (RFC 5321 section 4.1.2, and UTF-8
 * by RFC 6531). */
static bool plausible(bytes_t address) {
    size_t at = address.n;
    for (size_t i = 0; i < address.n; i++) {
        uint8_t c = address.p[i];
        if (c <= ' ' || c == 127 || c == '<' || c == '>' || c == ',') return false;
        if (c == '@') at = i;
    }
    return at > 0 && at + 1 < address.n && address.n <= LIMIT_EMAIL && text_utf8_valid(address);
}

static err_t *fold(arena_t *arena, bytes_t address, bytes_t *ret_folded) {
    bytes_t copy;
    TRY(arena_copy(arena, address, &copy));
    text_lower((char *)(uintptr_t)copy.p);
    *ret_folded = copy;
    return NULL;
}

static slot_t *slot_at(const gather_t *g, bytes_t folded) {
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < folded.n; i++) hash = (hash ^ folded.p[i]) * 1099511628211u;
    size_t i = (size_t)hash & (g->slots_n - 1);
    while (g->slots[i].folded.n && !bytes_eq(g->slots[i].folded, folded))
        i = (i + 1) & (g->slots_n - 1);
    return &g->slots[i];
}

static err_t *grow(gather_t *g) {
    slot_t *old = g->slots;
    size_t n = g->slots_n, room = n ? n * 2 : SLOTS_FIRST;
    slot_t *slots = mem_zalloc(room * sizeof *slots);
    if (!slots) return err_nomem();
    g->slots = slots;
    g->slots_n = room;
    for (size_t i = 0; i < n; i++)
        if (old[i].folded.n) *slot_at(g, old[i].folded) = old[i];
    mem_free(old);
    return NULL;
}

/* Its slot, until the next call; a new one is marked with nothing. */
static err_t *slot_of(gather_t *g, bytes_t folded, slot_t **ret_slot) {
    if (g->used * 2 >= g->slots_n) TRY(grow(g));
    slot_t *slot = slot_at(g, folded);
    if (!slot->folded.n) {
        if (g->used == LIMIT_MAIL_RECIPIENTS)
            return err_new(ERR_LIMIT, "more than %d recipients", LIMIT_MAIL_RECIPIENTS);
        g->used++;
        slot->folded = folded;
    }
    *ret_slot = slot;
    return NULL;
}

static err_t *add(gather_t *g, mail_recipient_t recipient, bytes_t folded) {
    if (g->n == g->room) {
        size_t room = g->room ? 2 * g->room : 16;
        mail_recipient_t *at = mem_resize(g->at, room * sizeof *at);
        if (!at) return err_nomem();
        g->at = at;
        bytes_t *texts = mem_resize(g->folded, room * sizeof *texts);
        if (!texts) return err_nomem();
        g->folded = texts;
        g->room = room;
    }
    g->at[g->n] = recipient;
    g->folded[g->n++] = folded;
    return NULL;
}

static mail_recipient_t refused(bytes_t address, bytes_t asked, mail_lock_t lock, const char *why) {
    mail_recipient_t r = {.address = address, .asked = asked, .lock = lock};
    (void)snprintf(r.reason, sizeof r.reason, "%s", why);
    return r;
}

/* ---- groups ---- */

static err_t *add_mailbox(gather_t *g, bytes_t address, bytes_t asked, bytes_t folded,
                          slot_t *slot) {
    if (slot->seen & SEEN_MAILBOX) return NULL;
    slot->seen |= SEEN_MAILBOX;
    return add(g, (mail_recipient_t){.address = address, .asked = asked}, folded);
}

static err_t *gather(gather_t *g, bytes_t given, bytes_t asked, bytes_t outer, unsigned depth);

static err_t *gather_members(gather_t *g, bytes_t group, bytes_t folded, bytes_t asked,
                             const bytes_t *members, size_t n, unsigned depth) {
    if (depth == LIMIT_MAIL_GROUP_DEPTH)
        return err_new(ERR_LIMIT, "groups in groups deeper than %d", LIMIT_MAIL_GROUP_DEPTH);
    if (!n)
        return add(g, refused(group, asked, MAIL_LOCK_NO_CERTIFICATE, "a group without members"),
                   BYTES_NONE);
    for (size_t i = 0; i < n; i++) TRY(gather(g, members[i], asked, folded, depth + 1));
    return NULL;
}

static err_t *expand(gather_t *g, bytes_t folded, bool *ret_found, bytes_t **ret_members,
                     size_t *ret_n, bool *ret_away) {
    const mail_book_t *book = g->book;
    if (!book->expand) return NULL;
    err_t *e = book->expand(book->arg, g->arena, folded, ret_found, ret_members, ret_n);
    if (e &&
        (err_code(e) == ERR_UNAVAILABLE || err_code(e) == ERR_TIMEOUT || err_code(e) == ERR_BUSY)) {
        err_free(e);
        *ret_away = true;
        return NULL;
    }
    return e;
}

/* A group that names itself means its own mailbox there. */
static err_t *gather(gather_t *g, bytes_t given, bytes_t asked, bytes_t outer, unsigned depth) {
    bytes_t address, folded, *members = NULL;
    slot_t *slot = NULL;
    size_t n = 0;
    bool found = false, is_away = false;
    TRY(arena_copy(g->arena, given, &address));
    if (!asked.p) asked = address;
    if (!plausible(address))
        return add(g, refused(address, asked, MAIL_LOCK_ADDRESS, "not an address"), BYTES_NONE);
    TRY(fold(g->arena, address, &folded));
    TRY(slot_of(g, folded, &slot));
    if (bytes_eq(folded, outer)) return add_mailbox(g, address, asked, folded, slot);
    if (slot->seen) return NULL;
    TRY(expand(g, folded, &found, &members, &n, &is_away));
    if (is_away)
        return add(g,
                   refused(address, asked, MAIL_LOCK_UNAVAILABLE,
                           "can't be looked up now: it may be a group"),
                   BYTES_NONE);
    if (!found) return add_mailbox(g, address, asked, folded, slot);
    slot->seen |= SEEN_GROUP;
    return gather_members(g, address, folded, asked, members, n, depth);
}

/* The sender is a mailbox, never a group, and there apart from being a recipient. */
static err_t *gather_sender(gather_t *g, bytes_t sender) {
    bytes_t address, folded;
    TRY(arena_copy(g->arena, sender, &address));
    mail_recipient_t r = {.address = address, .asked = address};
    if (!plausible(address)) r = refused(address, address, MAIL_LOCK_ADDRESS, "not an address");
    r.sender = true;
    TRY(fold(g->arena, address, &folded));
    return add(g, r, r.lock == MAIL_LOCK_ADDRESS ? BYTES_NONE : folded);
}

/* ---- the answer ---- */

static void sum_up(mail_recipients_t *list) {
    bool anyone = false, ready = true;
    for (size_t i = 0; i < list->n; i++) {
        const mail_recipient_t *r = &list->at[i];
        if (!r->sender) anyone = true;
        if (r->lock != MAIL_LOCK_READY) ready = false;
        if (r->lock == MAIL_LOCK_UNAVAILABLE) list->later = true;
    }
    list->all = anyone && ready;
}

err_t *mail_recipients_find(const mail_book_t *book, const bytes_t *addresses, size_t n,
                            bytes_t sender, int64_t at, mail_recipients_t *ret_list) {
    mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
    gather_t g CLEANUP(gather_done) = {.book = book};
    TRY(arena_new(ARENA_MAX, &list.arena));
    g.arena = list.arena;
    for (size_t i = 0; i < n; i++) TRY(gather(&g, addresses[i], BYTES_NONE, BYTES_NONE, 0));
    if (sender.n) TRY(gather_sender(&g, sender));
    list.at = STEAL(g.at);
    list.n = g.n;
    for (size_t i = 0; i < list.n; i++)
        if (g.folded[i].n) TRY(mail_lock_find(book, g.folded[i], at, &list.at[i]));
    sum_up(&list);
    *ret_list = list;
    list = (mail_recipients_t){0};
    return NULL;
}

void mail_recipients_done(mail_recipients_t *list) {
    for (size_t i = 0; i < list->n; i++) cert_free(list->at[i].cert);
    mem_free(list->at);
    arena_free(list->arena);
    *list = (mail_recipients_t){0};
}

err_t *mail_recipients_certs(const mail_recipients_t *list, cert_list_t *ret_certs) {
    if (!list->all) return err_new(ERR_USAGE, "not every recipient can read it");
    for (size_t i = 0; i < list->n; i++) {
        bool there = false;
        for (size_t k = 0; k < ret_certs->n && !there; k++)
            there = cert_same(ret_certs->certs[k], list->at[i].cert);
        if (!there) TRY(cert_list_add(ret_certs, list->at[i].cert));
    }
    return NULL;
}

cms_encrypt_options_t mail_recipients_algorithms(const mail_recipients_t *list,
                                                 mail_algorithms_t allowed) {
    bool gcm = allowed.gcm && list->all, oaep = allowed.oaep && list->all, only_128 = false;
    for (size_t i = 0; i < list->n; i++) {
        const mail_recipient_t *r = &list->at[i];
        if (!r->capable.aes256_gcm) gcm = false;
        if (r->cert && pkey_kind(cert_key(r->cert)) == PKEY_RSA && !r->capable.oaep) oaep = false;
        if (r->capable.known && r->capable.aes128_cbc && !r->capable.aes256_cbc &&
            !r->capable.aes256_gcm)
            only_128 = true;
    }
    return (cms_encrypt_options_t){.cipher = gcm ? CMS_AES256_GCM
                                                 : (only_128 ? CMS_AES128_CBC : CMS_AES256_CBC),
                                   .oaep = oaep};
}
