/*
 * Taking people over from a directory: see import.h. Runs in coffer-web.
 */
#include "directory/import.h"

#include <stdio.h>
#include <stdlib.h>

#include "audit/note.h"
#include "base/limits.h"
#include "directory/directory_internal.h"

enum {
    PAGE = 1000, /* rows read at once */
    BATCH = 200, /* people written in one transaction */
    FEW = 2,     /* so many may vanish from however small a directory */
    SYNC_ARENA = LIMIT_LDAP_PEOPLE_BYTES + 64 * 1024 * 1024,
    BATCH_ARENA = 4 * 1024 * 1024,
};

/* ---- one person ---- */

static bool same(const char *a, const char *b) { return strcmp(a, b) == 0; }

/* Of two with one address the row stays whose entry still is there. */
static bool may_adopt(const db_person_t *other) {
    return same(other->source, DIRECTORY_SOURCE) && other->left_ms;
}

static err_t *add(directory_t *d, db_conn_t *conn, arena_t *arena, const directory_entry_t *entry,
                  const char *actor, db_person_t *ret_row) {
    char id[TEXT_UUID_SIZE];
    bytes_t copy;
    TRY(rnd_uuid(d->o.rnd, id));
    TRY(arena_copy(arena, bytes_str(id), &copy));
    db_person_t row = {.id = (const char *)copy.p,
                       .email = entry->email,
                       .name = entry->name,
                       .role = directory_role_name(entry->role),
                       .password_hash = "",
                       .created_ms = clk_unix_ms(d->o.clk),
                       .source = DIRECTORY_SOURCE,
                       .external_id = entry->external_id};
    TRY(db_people_add(conn, &row));
    TRY(audit_note(d->o.audit, conn, actor, "person.add", row.email, "id", row.id, "role", row.role,
                   "source", DIRECTORY_SOURCE, "external_id", row.external_id, NULL));
    *ret_row = row;
    return NULL;
}

static err_t *change(directory_t *d, db_conn_t *conn, const directory_entry_t *entry,
                     const char *actor, db_person_t *row, directory_import_t *ret_done) {
    const db_person_t old = *row;
    bool back = old.left_ms != 0;
    row->email = entry->email;
    row->name = entry->name;
    row->role = directory_role_name(entry->role);
    row->external_id = entry->external_id;
    if (back) row->disabled = false;
    row->left_ms = 0;
    if (!back && same(old.email, row->email) && same(old.name, row->name) &&
        same(old.role, row->role)) {
        *ret_done = IMPORT_SAME;
        return NULL;
    }
    TRY(db_people_import(conn, row));
    *ret_done = back ? IMPORT_BACK : IMPORT_CHANGED;
    return audit_note(d->o.audit, conn, actor, back ? "person.back" : "person.change", row->email,
                      "id", row->id, "role", row->role, "before",
                      same(old.email, row->email) ? NULL : old.email, "external_id",
                      row->external_id, NULL);
}

err_t *directory_import(directory_t *directory, db_conn_t *conn, arena_t *arena,
                        const directory_entry_t *entry, const char *actor,
                        directory_import_t *ret_done, db_person_t *ret_row) {
    db_person_t row, other;
    bool known = false, taken = false;
    directory_import_t done = IMPORT_ADDED;
    TRY(db_people_by_external_id(conn, arena, DIRECTORY_SOURCE, entry->external_id, &row, &known));
    TRY(db_people_by_email(conn, arena, entry->email, &other, &taken));
    if (!known && taken && may_adopt(&other)) {
        row = other; /* deleted in the directory and made anew */
        known = true;
    } else if (taken && !(known && same(row.id, other.id))) {
        *ret_done = IMPORT_CONFLICT;
        return NULL;
    }
    TRY(known ? change(directory, conn, entry, actor, &row, &done)
              : add(directory, conn, arena, entry, actor, &row));
    *ret_done = done;
    *ret_row = row;
    return NULL;
}

/* ---- everybody ---- */

typedef struct {
    directory_t *directory;
    const directory_sync_t *sync;
    arena_t *arena;
    directory_entry_t *entries; /* sorted by id; those who may be here */
    size_t entries_n;
    db_person_t *rows; /* sorted by id */
    size_t rows_n;
    size_t *work; /* indices into entries or rows */
    size_t work_n, at;
    directory_sync_report_t report;
} run_t;

static int by_id(const void *a, const void *b) {
    return strcmp(((const directory_entry_t *)a)->external_id,
                  ((const directory_entry_t *)b)->external_id);
}

/* Keeps those who may be here. An id that is there twice is a lie or a fault: then nothing counts.
 */
static err_t *sort_entries(run_t *run) {
    size_t kept = 0;
    if (run->entries_n) qsort(run->entries, run->entries_n, sizeof *run->entries, by_id);
    for (size_t i = 0; i < run->entries_n; i++) {
        const directory_entry_t *e = &run->entries[i];
        if (i && same(e->external_id, run->entries[i - 1].external_id))
            return err_new(ERR_INVALID, "the directory has the id %s twice", e->external_id);
        if (!e->disabled && e->role != DIRECTORY_NOBODY) run->entries[kept++] = *e;
    }
    run->entries_n = run->report.people = kept;
    return NULL;
}

static err_t *read_rows(db_conn_t *conn, void *arg) {
    run_t *run = arg;
    const char *after = "";
    size_t room = 0, count = PAGE;
    run->rows_n = 0;
    while (count == PAGE) {
        db_person_t *page = NULL, *all = NULL;
        TRY(db_people_of_source(conn, run->arena, DIRECTORY_SOURCE, after, PAGE, &page, &count));
        if (run->rows_n + count > room) {
            room = 2 * (run->rows_n + count);
            TRY(arena_alloc(run->arena, room * sizeof *all, &all));
            if (run->rows_n) memcpy(all, run->rows, run->rows_n * sizeof *all);
            run->rows = all;
        }
        for (size_t i = 0; i < count; i++) run->rows[run->rows_n++] = page[i];
        if (count) after = page[count - 1].external_id;
    }
    return NULL;
}

static bool is_as_it_was(const directory_entry_t *e, const db_person_t *row) {
    return !row->left_ms && same(e->email, row->email) && same(e->name, row->name) &&
           same(directory_role_name(e->role), row->role);
}

/* Walks both in order: entries to import into `work`, or rows that left. */
static void compare(run_t *run, bool left) {
    size_t r = 0;
    run->work_n = 0;
    for (size_t e = 0; e < run->entries_n || r < run->rows_n;) {
        int order = e == run->entries_n ? 1
                    : r == run->rows_n
                        ? -1
                        : strcmp(run->entries[e].external_id, run->rows[r].external_id);
        if (order > 0) {
            if (left && !run->rows[r].disabled) run->work[run->work_n++] = r;
            r++;
            continue;
        }
        if (!left && (order < 0 || !is_as_it_was(&run->entries[e], &run->rows[r])))
            run->work[run->work_n++] = e;
        e++;
        r += order == 0;
    }
}

static err_t *brake(const run_t *run) {
    size_t here = 0;
    for (size_t i = 0; i < run->rows_n; i++) here += !run->rows[i].disabled;
    bool many = run->work_n > FEW && (int64_t)run->work_n * 100 > (int64_t)here * run->sync->brake;
    bool all = run->work_n && run->entries_n == 0;
    if (run->sync->force || (!many && !all)) return NULL;
    return err_new(ERR_DENIED,
                   "%zu of %zu people would be disabled and their certificates revoked: nothing "
                   "was changed. If that is right: coffer directory sync --force",
                   run->work_n, here);
}

static err_t *import_batch(db_conn_t *conn, void *arg) {
    run_t *run = arg;
    CLEANUP(arena_free) arena_t *arena = NULL;
    directory_sync_report_t report = run->report;
    TRY(arena_new(BATCH_ARENA, &arena));
    for (size_t i = run->at; i < run->work_n && i < run->at + BATCH; i++) {
        const directory_entry_t *entry = &run->entries[run->work[i]];
        directory_import_t done = IMPORT_SAME;
        db_person_t row;
        TRY(directory_import(run->directory, conn, arena, entry, run->sync->actor, &done, &row));
        report.added += done == IMPORT_ADDED;
        report.changed += done == IMPORT_CHANGED;
        report.back += done == IMPORT_BACK;
        if (done == IMPORT_CONFLICT && report.conflicts++ == 0)
            (void)snprintf(report.conflict, sizeof report.conflict, "%s", entry->email);
    }
    run->report = report;
    return NULL;
}

static err_t *leave(run_t *run, db_conn_t *conn, arena_t *arena, const db_person_t *was,
                    directory_sync_report_t *report) {
    db_person_t row;
    bool found = false;
    size_t revoked = 0;
    TRY(db_people_by_id(conn, arena, was->id, &row, &found));
    if (!found || row.disabled) return NULL;
    row.disabled = true;
    row.left_ms = clk_unix_ms(run->directory->o.clk);
    TRY(db_people_import(conn, &row));
    if (run->sync->left) TRY(run->sync->left(run->sync->ctx, conn, arena, &row, &revoked));
    report->left++;
    report->revoked += revoked;
    return audit_note(run->directory->o.audit, conn, run->sync->actor, "person.left", row.email,
                      "id", row.id, "source", DIRECTORY_SOURCE, NULL);
}

static err_t *leave_batch(db_conn_t *conn, void *arg) {
    run_t *run = arg;
    CLEANUP(arena_free) arena_t *arena = NULL;
    directory_sync_report_t report = run->report;
    TRY(arena_new(BATCH_ARENA, &arena));
    for (size_t i = run->at; i < run->work_n && i < run->at + BATCH; i++)
        TRY(leave(run, conn, arena, &run->rows[run->work[i]], &report));
    run->report = report;
    return NULL;
}

static err_t *in_batches(run_t *run, db_fn work) {
    for (run->at = 0; run->at < run->work_n; run->at += BATCH)
        TRY(db_write(run->directory->o.db, work, run));
    return NULL;
}

err_t *directory_sync(directory_t *directory, const directory_sync_t *sync,
                      directory_sync_report_t *ret_report) {
    const directory_source_t *source = directory->o.source;
    CLEANUP(arena_free) arena_t *arena = NULL;
    if (!source) return err_new(ERR_NOT_FOUND, "coffer.conf has no [ldap] url: no directory");
    TRY(arena_new(SYNC_ARENA, &arena));
    run_t run = {.directory = directory, .sync = sync, .arena = arena};
    TRY(source->people(source->ctx, arena, &run.entries, &run.entries_n));
    TRY(sort_entries(&run));
    TRY(db_read(directory->o.db, read_rows, &run));
    TRY(arena_alloc(arena, (run.entries_n + run.rows_n + 1) * sizeof *run.work, &run.work));
    compare(&run, true);
    TRY(brake(&run));
    TRY(in_batches(&run, leave_batch));
    compare(&run, false);
    TRY(in_batches(&run, import_batch));
    *ret_report = run.report;
    return NULL;
}
