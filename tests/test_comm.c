/* tests/test_comm.c - every exchange between ranks against a plain sum or copy, at awkward sizes: this program starts itself under mpirun with
 * 1 to 4 ranks, and alone. On GPUs there must be one for each rank. */
#include "core/rng.h"
#include "kernels/comm.h"
#include "kernels/device.h"
#include "tests/mpirun.h"
#include "tests/program.h"
#include "tests/ref_util.h"
#include "tests/test.h"

enum { NO_DEVICE = 77 };

/* Value i of what a rank holds. */
static float value(int rank, int64_t i)
{
    return (float)rng_normal(3, (uint64_t)rank, (uint64_t)i);
}

static void *filled(int rank, int64_t n, enum dtype t)
{
    char *host = xmalloc((size_t)(n * dtype_size(t)) + 1);
    for (int64_t i = 0; i < n; i++) {
        if (t == F32)
            ((float *)(void *)host)[i] = value(rank, i);
        else
            ((uint16_t *)(void *)host)[i] = f32_to_bf16(value(rank, i));
    }
    void *d = dev_alloc((size_t)(n * dtype_size(t)));
    dev_put(d, host, (size_t)(n * dtype_size(t)));
    free(host);
    return d;
}

static float at(const void *host, int64_t i, enum dtype t)
{
    return t == F32 ? ((const float *)host)[i] : bf16_to_f32(((const uint16_t *)host)[i]);
}

static const int64_t lengths[] = {1, 2, 63, 64, 65, 127, 128, 129, 255, 257, 32767, 32768, 32769, 100003};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0] };

/* On the CPU the sum is that of the ranks' order, to the bit; elsewhere within rounding of the exact one. Twice gives the same bits. */
static void reduce_scatter(enum dtype t)
{
    int size = comm_size(), rank = comm_rank();
    bool in_order = !strcmp(dev_backend(), "cpu");
    for (int k = 0; k < N_LENGTHS; k++) {
        int64_t n = lengths[k], wrong = 0;
        size_t bytes = (size_t)(n * dtype_size(t));
        void *all = filled(rank, n * size, t), *share = dev_alloc(bytes), *again = dev_alloc(bytes);
        comm_wait(comm_reduce_scatter(share, all, n, t));
        comm_wait(comm_reduce_scatter(again, all, n, t));
        char *got = xmalloc(bytes), *second = xmalloc(bytes);
        dev_get(got, share, bytes);
        dev_get(second, again, bytes);
        check_msg(!memcmp(got, second, bytes), "%lld values differ from call to call", (long long)n);
        for (int64_t i = 0; i < n; i++) {
            float sum = 0;
            double exact = 0, size_of_sum = 0;
            for (int r = 0; r < size; r++) {
                float v = value(r, rank * n + i);
                v = t == F32 ? v : bf16_to_f32(f32_to_bf16(v));
                sum += v;
                exact += (double)v;
                size_of_sum += fabs((double)v);
            }
            float want = t == F32 ? sum : bf16_to_f32(f32_to_bf16(sum)), have = at(got, i, t);
            double room = size_of_sum * size * (t == F32 ? 1.2e-7 : 0.008);
            wrong += in_order ? have != want : fabs((double)have - exact) > room;
        }
        check_msg(wrong == 0, "%lld of %lld sums are wrong, rank %d of %d", (long long)wrong, (long long)n, rank, size);
        free(got);
        free(second);
        dev_free(all);
        dev_free(share);
        dev_free(again);
    }
}

/* From elsewhere and from its place in the whole. */
static void all_gather(enum dtype t)
{
    int size = comm_size(), rank = comm_rank();
    for (int k = 0; k < N_LENGTHS; k++)
        for (int in_place = 0; in_place < 2; in_place++) {
            int64_t n = lengths[k], wrong = 0;
            size_t e = (size_t)dtype_size(t), bytes = (size_t)n * e;
            void *share = filled(rank, n, t);
            char *all = dev_alloc(bytes * (size_t)size), *place = all + bytes * (size_t)rank, *got = xmalloc(bytes * (size_t)size);
            if (in_place)
                dev_copy(place, share, bytes);
            comm_wait(comm_all_gather(all, in_place ? place : share, n, t));
            dev_get(got, all, bytes * (size_t)size);
            for (int r = 0; r < size; r++)
                for (int64_t i = 0; i < n; i++)
                    wrong += at(got + bytes * (size_t)r, i, t) != (t == F32 ? value(r, i) : bf16_to_f32(f32_to_bf16(value(r, i))));
            check_msg(wrong == 0, "%lld of %lld values are wrong, rank %d of %d", (long long)wrong, (long long)n * size, rank, size);
            free(got);
            dev_free(share);
            dev_free(all);
        }
}

/* The ranks' order, to the bit, on every backend. */
static void all_reduce(void)
{
    for (int n = 1; n <= COMM_SUMS; n++) {
        double v[COMM_SUMS], got[COMM_SUMS];
        for (int i = 0; i < n; i++)
            v[i] = rng_normal(4, (uint64_t)comm_rank(), (uint64_t)i);
        double *d = ref_dev(v, sizeof v);
        comm_all_reduce(d, n);
        dev_get(got, d, sizeof got);
        for (int i = 0; i < n; i++) {
            double want = rng_normal(4, 0, (uint64_t)i);
            for (int r = 1; r < comm_size(); r++)
                want += rng_normal(4, (uint64_t)r, (uint64_t)i);
            check_msg(got[i] == want, "got %.17g, want %.17g", got[i], want);
        }
        dev_free(d);
    }
    check(comm_waited() >= 0 && comm_waited() == 0);
}

static void host(void)
{
    int size = comm_size(), rank = comm_rank(), *all = xmalloc(sizeof *all * (size_t)size), mine = 100 + rank;
    comm_gather(all, &mine, sizeof mine);
    for (int r = 0; r < size; r++)
        check_int(all[r], 100 + r);
    for (int from = 0; from < size; from++) {
        char word[40];
        snprintf(word, sizeof word, "from %d", rank);
        comm_broadcast(word, sizeof word, from);
        char want[40];
        snprintf(want, sizeof want, "from %d", from);
        check_str(word, want);
    }
    for (int r = 1; r < size; r++) { /* every rank to rank 0 */
        int got;
        if (rank == r)
            comm_send(&mine, sizeof mine, 0);
        if (rank == 0) {
            comm_recv(&got, sizeof got, r);
            check_int(got, 100 + r);
        }
    }
    comm_barrier();
    check(comm_local_size() == size && comm_local_rank() == rank); /* one host */
    free(all);
}

/* Well together or not at all; a rank that is not is named, unless all say the same. */
static void agree(void)
{
    int size = comm_size(), rank = comm_rank();
    struct err e = {""};
    check(comm_agree(true, &e));
    for (int bad = 0; bad < size; bad++) {
        bool ok = rank != bad || err_set(&e, "no disk");
        check(!comm_agree(ok, &e));
        char want[40];
        snprintf(want, sizeof want, size == 1 ? "no disk" : "rank %d: no disk", bad);
        check_str(e.msg, want);
    }
    check(!comm_agree(err_set(&e, "no file"), &e));
    check_str(e.msg, "no file");
}

static int worker(void)
{
    struct err e;
    if (!comm_open(&e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    bool device = dev_open(comm_local_rank(), &e);
    if (!comm_agree(device, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        comm_close();
        return NO_DEVICE;
    }
    comm_device_open();
    reduce_scatter(F32);
    reduce_scatter(BF16);
    all_gather(F32);
    all_gather(BF16);
    all_reduce();
    host();
    agree();
    comm_device_close();
    comm_close();
    return test_failures != 0;
}

static void test_alone(void)
{
    struct err e;
    check(comm_open(&e));
    check(!comm_launched() && comm_rank() == 0 && comm_size() == 1);
    check_int(worker(), 0);
}

static void run_ranks(int ranks)
{
    const char *missing = mpirun_missing();
    if (missing) {
        test_skip(missing);
        return;
    }
    char *words = mpirun_words(ranks), *programs = program_folder(),
         *command = xprintf("%s '%s/tests/test_comm' worker 1>&2", words, programs);
    int status = system(command), code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == NO_DEVICE)
        test_skip("not a GPU for every rank");
    else
        check_int(code, 0);
    free(command);
    free(programs);
    free(words);
}

static void test_1(void)
{
    run_ranks(1);
}
static void test_2(void)
{
    run_ranks(2);
}
static void test_3(void)
{
    run_ranks(3);
}
static void test_4(void)
{
    run_ranks(4);
}

/* A rank that dies takes the others down, says who it was, and the exit code is 1. */
static void test_death(void)
{
    const char *missing = mpirun_missing();
    if (missing) {
        test_skip(missing);
        return;
    }
    char *words = mpirun_words(3), *programs = program_folder(), folder[] = "/tmp/test_comm.XXXXXX";
    must(mkdtemp(folder));
    char *log = xprintf("%s/log", folder), *command = xprintf("%s '%s/tests/test_comm' death >%s 2>&1", words, programs, log);
    int status = system(command);
    struct err e;
    char *text = file_read(log, (size_t)1 << 20, NULL, &e);
    must(text);
    check_int(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 1);
    check_has(text, "rank 1 of 3 (");
    check_has(text, "no more");
    check(file_remove_tree(folder, &e));
    free(text);
    free(command);
    free(log);
    free(programs);
    free(words);
}

static int death(void)
{
    struct err e;
    must(comm_open(&e));
    if (comm_rank() == 1)
        die("no more");
    comm_barrier(); /* waits for rank 1 */
    comm_close();
    return 0;
}

static const struct test tests[] = {
    {"alone, without a launcher", test_alone}, {"one rank", test_1}, {"two ranks", test_2}, {"three ranks", test_3}, {"four ranks", test_4},
    {"a rank that dies", test_death}};

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "worker"))
        return worker();
    if (argc > 1 && !strcmp(argv[1], "death"))
        return death();
    return test_main(argc, argv, "test_comm", tests, sizeof tests / sizeof tests[0]);
}
