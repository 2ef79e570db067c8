/*
 * Durable small writes a second through the group commit: bench_db [THREADS [SECONDS]].
 * Prints one line; the database lies in the current directory's file system.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/text.h"
#include "store/db.h"

enum { THREADS_MAX = 256 };

typedef struct {
    db_t *db;
    atomic_bool stop;
    atomic_llong next;
    atomic_llong failed;
} bench_t;

static err_t *make_table(db_conn_t *conn, void *arg) {
    (void)arg;
    return db_exec(conn, "CREATE TABLE item (id BIGINT PRIMARY KEY, text TEXT NOT NULL)");
}

static err_t *insert(db_conn_t *conn, void *arg) {
    return db_exec(conn, "INSERT INTO item (id, text) VALUES ($1, $2)", DB_I64(*(int64_t *)arg),
                   DB_STR("a hundred bytes, more or less, as a small request writes them: state, "
                          "times and a name or two"));
}

static void *run(void *arg) {
    bench_t *b = arg;
    while (!atomic_load_explicit(&b->stop, memory_order_relaxed)) {
        int64_t id = atomic_fetch_add(&b->next, 1);
        err_t *e = db_write(b->db, insert, &id);
        if (e) atomic_fetch_add(&b->failed, 1);
        err_free(e);
    }
    return NULL;
}

static unsigned long argument(int argc, char **argv, int n, uint64_t most, uint64_t otherwise) {
    uint64_t value = otherwise;
    if (argc > n) err_ignore(text_u64(bytes_str(argv[n]), most, &value));
    return value ? value : otherwise;
}

static double cpu_seconds(void) {
    struct rusage use;
    (void)getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static int measure(const char *path, unsigned long threads, unsigned long seconds) {
    static bench_t b;
    err_t *e = db_open(path, NULL, clk_real(), &b.db);
    if (!e) e = db_write(b.db, make_table, NULL);
    if (e) {
        char text[256];
        (void)fprintf(stderr, "%s\n", err_text(e, text, sizeof text));
        err_free(e);
        return 1;
    }
    pthread_t all[THREADS_MAX];
    unsigned long started = 0;
    int64_t begin = clk_mono_ms(clk_real());
    while (started < threads && pthread_create(&all[started], NULL, run, &b) == 0) started++;
    (void)sleep((unsigned)seconds);
    atomic_store(&b.stop, true);
    for (unsigned long i = 0; i < started; i++) (void)pthread_join(all[i], NULL);
    double took = (double)(clk_mono_ms(clk_real()) - begin) / 1000;
    double count = (double)(b.next - b.failed);
    (void)printf("%lu threads: %.0f durable writes/s, %.1f us of CPU each, %lld failed\n", started,
                 count / took, cpu_seconds() / count * 1e6, (long long)b.failed);
    db_close(b.db);
    return 0;
}

int main(int argc, char **argv) {
    unsigned long threads = argument(argc, argv, 1, THREADS_MAX, 32);
    unsigned long seconds = argument(argc, argv, 2, 60, 3);
    char path[] = "bench-db-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    (void)close(fd);
    int status = measure(path, threads, seconds);
    (void)unlink(path);
    return status;
}
