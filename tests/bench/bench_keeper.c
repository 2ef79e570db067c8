/*
 * How fast the real keeper enrols: SCEP_OPEN and SCEP_ISSUE (three RSA-2048 private operations,
 * durable) from several threads over one channel, and its CPU time an enrolment against the time
 * of three bare RSA operations.
 *   bench_keeper PATH/coffer-keeper [SECONDS [THREADS [DIRECTORY]]]
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "crypto/csr.h"
#include "ipc/channel.h"
#include "ipc/client.h"
#include "ipc/spawn.h"
#include "keeper/client.h"

enum { THREADS_MAX = 64, RSA_ROUNDS = 1000 };

typedef struct {
    keeper_t *keeper;
    pkey_t *key;
    cert_t *self;
    buf_t csr, envelope;
    atomic_bool stop;
    atomic_uint_fast64_t enrolled;
} bench_t;

static void must(err_t *e) {
    if (!e) return;
    char text[512];
    (void)fprintf(stderr, "bench_keeper: %s\n", err_trace(e, text, sizeof text));
    exit(1);
}

static double cpu_of_thread(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* User and system seconds of another process. */
static double cpu_of(pid_t pid) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    CLEANUP(buf_done) buf_t stat;
    buf_init(&stat, 4096);
    must(file_read(path, &stat));
    bytes_t rest = buf_bytes(&stat), field = BYTES_NONE;
    uint64_t ticks = 0;
    for (int i = 1; i <= 15 && text_split(&rest, ' ', &field); i++) {
        uint64_t value = 0;
        if (i >= 14) must(text_u64(field, UINT64_MAX, &value));
        ticks += value;
    }
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static double rsa_seconds(const pkey_t *key) {
    double start = cpu_of_thread();
    for (int i = 0; i < RSA_ROUNDS; i++) {
        CLEANUP(buf_done) buf_t signature;
        buf_init(&signature, 1024);
        must(pkey_sign(key, "bench", BYTES_LIT("message"), &signature));
    }
    return (cpu_of_thread() - start) / RSA_ROUNDS;
}

static void *enrol(void *arg) {
    bench_t *b = arg;
    static const uint8_t nonce[16] = {1};
    while (!atomic_load(&b->stop)) {
        CLEANUP(buf_done) buf_t csr, certificate, certrep;
        buf_init_secret(&csr, LIMIT_CSR_BYTES);
        buf_init(&certificate, LIMIT_CERTIFICATE_BYTES);
        buf_init(&certrep, LIMIT_FRAME_BYTES);
        cms_cipher_t cipher = CMS_AES256_CBC;
        must(keeper_scep_open(b->keeper, buf_bytes(&b->envelope), &csr, &cipher));
        keeper_request_t request = {"device-identity", buf_bytes(&csr), "", "bench"};
        keeper_scep_reply_t reply = {BYTES_LIT("transaction"), BYTES_ARRAY(nonce),
                                     cert_der(b->self), cipher, false};
        must(keeper_scep_issue(b->keeper, &request, &reply, &certificate, &certrep));
        atomic_fetch_add(&b->enrolled, 1);
    }
    return NULL;
}

static void prepare(bench_t *b) {
    must(pkey_generate(PKEY_RSA, 2048, &b->key));
    name_entry_t cn = {"CN", "phone"};
    csr_spec_t request = {.subject = &cn, .subject_n = 1};
    buf_init(&b->csr, LIMIT_CSR_BYTES);
    buf_init(&b->envelope, LIMIT_CMS_BYTES);
    must(csr_build(&request, b->key, &b->csr));
    uint8_t serial[CERT_SERIAL_SIZE];
    must(cert_serial_random(rnd_real(), serial));
    int64_t now = clk_unix(clk_real());
    cert_spec_t spec = {.subject = &cn,
                        .subject_n = 1,
                        .serial = BYTES_ARRAY(serial),
                        .not_before = now - 60,
                        .not_after = now + 86400,
                        .key = b->key,
                        .key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT};
    must(cert_issue(&spec, NULL, b->key, &b->self));
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_CERTIFICATE_BYTES);
    must(keeper_public(b->keeper, KEEPER_PUBLIC_DEVICE_CA, &der));
    CLEANUP(cert_free) cert_t *ca = NULL;
    must(cert_parse_der(buf_bytes(&der), &ca));
    must(cms_encrypt_to(buf_bytes(&b->csr), ca, NULL, &b->envelope));
}

static void run(const char *program, char *dir, pid_t *ret_pid, int *ret_control) {
    char *init[] = {(char *)(uintptr_t)program, (char *)"--dir",     dir,
                    (char *)"--init",           (char *)"--org",     (char *)"Bench",
                    (char *)"--host",           (char *)"localhost", NULL};
    int status = 0;
    must(spawn_start(init, ret_pid, ret_control));
    (void)waitpid(*ret_pid, &status, 0);
    fd_close(*ret_control);
    char *serve[] = {(char *)(uintptr_t)program, (char *)"--dir", dir, NULL};
    must(spawn_start(serve, ret_pid, ret_control));
    uint8_t message[64];
    size_t n = 0;
    must(channel_recv(*ret_control, message, sizeof message, &n));
}

static int connect_as_web(int control) {
    int ends[2];
    must(channel_pair(ends));
    must(channel_send_fd(control, BYTES_LIT("\x03web"), ends[1]));
    fd_close(ends[1]);
    return ends[0];
}

static void measure(bench_t *b, pid_t pid, unsigned seconds, size_t threads) {
    pthread_t ids[THREADS_MAX];
    double rsa = rsa_seconds(b->key), before = cpu_of(pid);
    for (size_t i = 0; i < threads; i++) (void)pthread_create(&ids[i], NULL, enrol, b);
    (void)sleep(seconds);
    double cpu = cpu_of(pid) - before;
    uint64_t enrolled = atomic_load(&b->enrolled);
    atomic_store(&b->stop, true);
    for (size_t i = 0; i < threads; i++) (void)pthread_join(ids[i], NULL);
    if (!enrolled) return;
    double each = cpu / (double)enrolled;
    (void)printf("keeper: %.0f enrolments/s, %.0f us of its CPU each; 3 RSA-2048 operations "
                 "%.0f us; ratio %.2f\n",
                 (double)enrolled / seconds, each * 1e6, 3 * rsa * 1e6, each / (3 * rsa));
}

int main(int argc, char **argv) {
    uint64_t seconds = 3, threads = 8;
    if (argc < 2) return 2;
    if (argc > 2) must(text_u64(bytes_str(argv[2]), 3600, &seconds));
    if (argc > 3) must(text_u64(bytes_str(argv[3]), THREADS_MAX, &threads));
    char dir[512];
    (void)snprintf(dir, sizeof dir, "%s/coffer-bench-XXXXXX", argc > 4 ? argv[4] : "/tmp");
    if (!mkdtemp(dir)) return 1;
    must(crypto_init());
    static bench_t b;
    pid_t pid = 0;
    int control = -1;
    run(argv[1], dir, &pid, &control);
    rpc_client_t *rpc = NULL;
    must(rpc_client_new(connect_as_web(control), &rpc));
    must(keeper_new(rpc, &b.keeper));
    prepare(&b);
    measure(&b, pid, (unsigned)seconds, threads);
    keeper_free(b.keeper);
    rpc_client_free(rpc);
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, NULL, 0);
    fd_close(control);
    char *rm[] = {(char *)"/bin/rm", (char *)"-r", dir, NULL};
    must(spawn_start(rm, &pid, &control));
    (void)waitpid(pid, NULL, 0);
    return 0;
}
