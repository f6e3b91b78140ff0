// What checkpoint tests save and restore: one static program that holds something of the kernel's and goes on using
// it, so that a test sees from outside whether it still has it. Every mode goes on until it is killed.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void fail(const char* what) {
  perror(what);
  exit(1);
}

// A number in a file, never a part of it.
static void show(const char* path, long number) {
  char next[256];
  snprintf(next, sizeof next, "%s.next", path);
  FILE* file = fopen(next, "w");
  if (file == NULL) fail(next);
  fprintf(file, "%ld", number);
  fclose(file);
  rename(next, path);
}

static void pause_a_little(void) { usleep(20 * 1000); }

// lock FILE: holds a lock of the whole file.
static void hold_lock(const char* path) {
  const int fd = open(path, O_RDWR | O_CREAT, 0666);
  if (fd < 0 || flock(fd, LOCK_EX) != 0) fail(path);
  for (long count = 0;; ++count) {
    show("/tmp/count", count);
    pause_a_little();
  }
}

// renamed DIR: writes a counter to DIR/b through a descriptor that was opened as DIR/a, which is gone.
static void write_renamed(const char* directory) {
  char first[256];
  char second[256];
  snprintf(first, sizeof first, "%s/a", directory);
  snprintf(second, sizeof second, "%s/b", directory);
  const int fd = open(first, O_RDWR | O_CREAT, 0666);
  if (fd < 0 || link(first, second) != 0 || unlink(first) != 0) fail(directory);
  for (int count = 0;; ++count) {
    if (pwrite(fd, &count, sizeof count, 0) != sizeof count) fail("pwrite");
    pause_a_little();
  }
}

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static int listen_on(int port) {
  const struct sockaddr_in address = loopback(port);
  const int one = 1;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (const struct sockaddr*)&address, sizeof address) != 0 || listen(fd, 4) != 0) fail("listen");
  return fd;
}

// connected PORT: sends numbers to itself; /tmp/count is the last that came, /tmp/closed is there when none comes any more.
static void keep_connection(int port) {
  const struct sockaddr_in address = loopback(port);
  const int listening = listen_on(port);
  const int out = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(out, (const struct sockaddr*)&address, sizeof address) != 0) fail("connect");
  const int in = accept(listening, NULL, NULL);
  close(listening);
  for (long count = 0;; ++count) {
    long got = -1;
    if (send(out, &count, sizeof count, MSG_NOSIGNAL) != sizeof count || recv(in, &got, sizeof got, MSG_WAITALL) != sizeof got) break;
    show("/tmp/count", got);
    pause_a_little();
  }
  show("/tmp/closed", 1);
  for (;;) pause();
}

// listening PORT: takes connections only when /tmp/accept is there; /tmp/accepted is how many.
static void take_connections(int port) {
  const int listening = listen_on(port);
  show("/tmp/count", 1);
  while (access("/tmp/accept", F_OK) != 0) pause_a_little();
  for (long count = 1;; ++count) {
    if (accept(listening, NULL, NULL) < 0) fail("accept");
    show("/tmp/accepted", count);
  }
}

// unix PATH: sends a datagram to that socket of somebody else, again and again.
static void send_datagrams(const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (connect(fd, (const struct sockaddr*)&address, sizeof address) != 0) fail(path);
  for (;;) {
    (void)!send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    pause_a_little();
  }
}

// memory MIB: goes through so much memory and checks it.
static void use_memory(size_t mib) {
  const size_t size = mib << 20U;
  unsigned char* block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) fail("mmap");
  for (size_t i = 0; i < size; i += 4096) block[i] = (unsigned char)(i >> 12U);
  for (long count = 0;; ++count) {
    if (access("/tmp/check", F_OK) == 0)
      for (size_t i = 0; i < size; i += 4096)
        if (block[i] != (unsigned char)(i >> 12U)) fail("memory");
    show("/tmp/count", count);
    pause_a_little();
  }
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  if (strcmp(argv[1], "lock") == 0) hold_lock(argv[2]);
  if (strcmp(argv[1], "renamed") == 0) write_renamed(argv[2]);
  if (strcmp(argv[1], "connected") == 0) keep_connection(atoi(argv[2]));
  if (strcmp(argv[1], "listening") == 0) take_connections(atoi(argv[2]));
  if (strcmp(argv[1], "unix") == 0) send_datagrams(argv[2]);
  if (strcmp(argv[1], "memory") == 0) use_memory((size_t)atoi(argv[2]));
  return 2;
}
