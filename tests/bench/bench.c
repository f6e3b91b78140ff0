// Times commands in turn (A, B, B, A …) with posix_spawn and wait4, and prints medians, ratios, peak RSS.
//   bench CASE ROUNDS BASELINE NAME STEP… [';' STEP…] ['--' NAME STEP… [';' STEP…]]…
// The round's number replaces each "{}" in an argument. A contestant's time is that of all its steps.
// C and static: a child's peak RSS begins with that of the program that spawned it (vfork shares its
// memory), so this program has to be the smaller one. Source: man 2 getrusage, man 3 posix_spawn.
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kMaxContestants = 6, kMaxWords = 64, kMaxWord = 512, kMaxRounds = 5000 };

struct contestant {
  const char *name;
  char **words;  // steps separated by ";"
  int count;
  double times[kMaxRounds];  // microseconds
  double work[kMaxRounds];   // processor time of the steps and what they waited for: steady under load
  long peak_rss;             // KiB
};

static struct contestant contestants[kMaxContestants];
static int contestant_count;
extern char **environ;

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void expand(const char *word, int round, char *out) {
  const char *hole = strstr(word, "{}");
  if (hole == NULL)
    snprintf(out, kMaxWord, "%s", word);
  else
    snprintf(out, kMaxWord, "%.*s%d%s", (int)(hole - word), word, round, hole + 2);
}

static posix_spawn_file_actions_t to_null;
static posix_spawn_file_actions_t to_null_with_errors;

static int run_step(char **words, int count, int round, int show_errors, struct contestant *c, double *work) {
  static char texts[kMaxWords][kMaxWord];
  char *argv[kMaxWords + 1];
  for (int i = 0; i < count; ++i) {
    expand(words[i], round, texts[i]);
    argv[i] = texts[i];
  }
  argv[count] = NULL;
  pid_t pid;
  const int failed = posix_spawn(&pid, argv[0], show_errors ? &to_null_with_errors : &to_null, NULL, argv, environ);
  if (failed != 0) {
    fprintf(stderr, "bench: posix_spawn %s: %s\n", argv[0], strerror(failed));
    return 127;
  }
  int status;
  struct rusage usage;
  if (wait4(pid, &status, 0, &usage) != pid) return 126;
  if (usage.ru_maxrss > c->peak_rss) c->peak_rss = usage.ru_maxrss;
  *work += (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void run_round(struct contestant *c, int round, int show_errors) {
  double work = 0;
  const double begin = now_us();
  for (int at = 0; at < c->count;) {
    int end = at;
    while (end < c->count && strcmp(c->words[end], ";") != 0) ++end;
    const int code = run_step(c->words + at, end - at, round, show_errors, c, &work);
    if (code != 0) {
      fprintf(stderr, "bench: %s: step \"%s %s\" of round %d ended with %d\n", c->name, c->words[at],
              end - at > 1 ? c->words[at + 1] : "", round, code);
      exit(1);
    }
    at = end + 1;
  }
  c->times[round] = now_us() - begin;
  c->work[round] = work;
}

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int parse(int argc, char **argv) {
  for (int at = 4; at < argc;) {
    if (contestant_count == kMaxContestants) return -1;
    struct contestant *c = &contestants[contestant_count++];
    c->name = argv[at++];
    c->words = argv + at;
    while (at < argc && strcmp(argv[at], "--") != 0) ++at;
    c->count = (int)(argv + at - c->words);
    if (c->count == 0 || c->count > kMaxWords) return -1;
    ++at;
  }
  return contestant_count == 0 ? -1 : 0;
}

static void report(const char *title, const char *baseline, int rounds) {
  double base = 0;
  for (int i = 0; i < contestant_count; ++i) {
    qsort(contestants[i].times, (size_t)rounds, sizeof(double), by_value);
    qsort(contestants[i].work, (size_t)rounds, sizeof(double), by_value);
    if (strcmp(contestants[i].name, baseline) == 0) base = contestants[i].times[rounds / 2];
  }
  printf("%-26s %10s %9s %9s %9s %9s %8s\n", title, "median ms", "min ms", "p90 ms", "CPU ms", "RSS KiB", "ratio");
  for (int i = 0; i < contestant_count; ++i) {
    const struct contestant *c = &contestants[i];
    printf("  %-24s %10.3f %9.3f %9.3f %9.3f %9ld %8.3f\n", c->name, c->times[rounds / 2] / 1e3, c->times[0] / 1e3,
           c->times[rounds * 9 / 10] / 1e3, c->work[rounds / 2] / 1e3, c->peak_rss, base > 0 ? c->times[rounds / 2] / base : 0.0);
  }
  for (int i = 0; i < contestant_count; ++i) {
    const struct contestant *c = &contestants[i];
    printf("BENCH case=%s name=%s rounds=%d median_us=%.0f min_us=%.0f p90_us=%.0f cpu_us=%.0f peak_rss_kib=%ld ratio=%.3f\n",
           title, c->name, rounds, c->times[rounds / 2], c->times[0], c->times[rounds * 9 / 10], c->work[rounds / 2],
           c->peak_rss,
           base > 0 ? c->times[rounds / 2] / base : 0.0);
  }
}

// Who follows whom changes each round: the kernel takes the predecessor's namespaces down meanwhile, with locks that
// the successor needs, so that a fixed order favours who comes after the slowest. Fisher and Yates; the same each run.
static void shuffle(int *order) {
  static unsigned long state = 88172645463325252UL;
  for (int i = contestant_count - 1; i > 0; --i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const int j = (int)(state % (unsigned long)(i + 1));
    const int kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
}

int main(int argc, char **argv) {
  const int rounds = argc > 4 ? atoi(argv[2]) : 0;
  if (rounds < 1 || rounds > kMaxRounds || parse(argc, argv) != 0) {
    fprintf(stderr, "usage: bench CASE ROUNDS BASELINE NAME COMMAND… [';' COMMAND…] ['--' NAME COMMAND…]…\n");
    return 2;
  }
  posix_spawn_file_actions_init(&to_null);
  posix_spawn_file_actions_init(&to_null_with_errors);
  posix_spawn_file_actions_t *both[] = {&to_null, &to_null_with_errors};
  for (int i = 0; i < 2; ++i)
    for (int fd = 0; fd < 3 - i; ++fd) posix_spawn_file_actions_addopen(both[i], fd, "/dev/null", O_RDWR, 0);
  const int warm_up = rounds < 10 ? 1 : 5;  // shows errors, and fills the caches
  for (int round = 0; round < warm_up; ++round)
    for (int i = 0; i < contestant_count; ++i) run_round(&contestants[i], round, 1);
  for (int i = 0; i < contestant_count; ++i) contestants[i].peak_rss = 0;
  int order[kMaxContestants] = {0, 1, 2, 3, 4, 5};
  for (int round = 0; round < rounds; ++round) {
    shuffle(order);
    for (int i = 0; i < contestant_count; ++i) run_round(&contestants[order[i]], round, 0);
  }
  report(argv[1], argv[3], rounds);
  return 0;
}
