/* MPI's names for groups of weftrun: a program in C that was written for them is built by `weftrun build` as it is.
 *
 * `main` runs in each rank, which is a member of one group (see weftrun.h): an instance with memory of its own, on this host,
 * inside one Step. There are WEFTRUN_MPI_RANKS of them, 4 unless that is defined before this is included. What is here is the
 * world's point to point messages with tags, and the collective calls on numbers and bytes; what is not is no name, so that the
 * compiler tells of it: other communicators, types of one's own, one-sided calls, and MPI_ANY_SOURCE, since whichever message
 * came first would decide what a Step gives. The names and what they mean are those of the MPI Forum's standard, version 4.
 */
#ifndef WEFTRUN_MPI_H
#define WEFTRUN_MPI_H
#ifdef __cplusplus
#error "mpi.h of weftrun is for C; in C++ use the groups of weftrun.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weftrun.h>

#ifndef WEFTRUN_MPI_RANKS
#define WEFTRUN_MPI_RANKS 4
#endif

typedef enum { MPI_COMM_WORLD } MPI_Comm;
typedef int MPI_Op;
typedef uint32_t MPI_Datatype; /* the size of one, its number type in weftrun.h, and whether it has no sign */
typedef struct { int MPI_SOURCE, MPI_TAG, MPI_ERROR; uint32_t weftrun_bytes; } MPI_Status;
typedef struct { void *at; uint32_t bytes; int from, tag; } MPI_Request;

#define WEFTRUN_MPI_TYPE(bytes, number, is_unsigned) ((bytes) | (number) << 8 | (is_unsigned) << 16)
#define WEFTRUN_MPI_NO_NUMBER 15
#define MPI_BYTE WEFTRUN_MPI_TYPE(1, WEFTRUN_MPI_NO_NUMBER, 0)
#define MPI_CHAR MPI_BYTE
#define MPI_INT WEFTRUN_MPI_TYPE(4, WEFTRUN_I32, 0)
#define MPI_LONG MPI_INT /* `long` has 32 bits in WebAssembly */
#define MPI_INT32_T MPI_INT
#define MPI_UNSIGNED WEFTRUN_MPI_TYPE(4, WEFTRUN_I32, 1)
#define MPI_UINT32_T MPI_UNSIGNED
#define MPI_LONG_LONG WEFTRUN_MPI_TYPE(8, WEFTRUN_I64, 0)
#define MPI_INT64_T MPI_LONG_LONG
#define MPI_UINT64_T WEFTRUN_MPI_TYPE(8, WEFTRUN_I64, 1)
#define MPI_FLOAT WEFTRUN_MPI_TYPE(4, WEFTRUN_F32, 0)
#define MPI_DOUBLE WEFTRUN_MPI_TYPE(8, WEFTRUN_F64, 0)
#define MPI_SUM WEFTRUN_SUM
#define MPI_PROD WEFTRUN_PRODUCT
#define MPI_MIN WEFTRUN_MIN
#define MPI_MAX WEFTRUN_MAX
#define MPI_SUCCESS 0
#define MPI_ANY_TAG (-1)
#define MPI_STATUS_IGNORE ((MPI_Status *)0)
#define MPI_STATUSES_IGNORE MPI_STATUS_IGNORE
#define MPI_IN_PLACE ((void *)-1)
#define MPI_MAX_PROCESSOR_NAME 16
#define MPI_REQUEST_NULL ((MPI_Request){0, 0, -1, 0})

static inline void weftrun_mpi_fail(const char *call, const char *why) {
  fprintf(stderr, "%s: %s\n", call, why);
  exit(1);
}
static inline uint32_t weftrun_mpi_bytes(const char *call, int count, MPI_Datatype type) {
  if (count < 0) weftrun_mpi_fail(call, "the count is negative");
  return (uint32_t)count * (type & 0xff);
}

/* --- messages: in order for each sender and tag; those that nobody has asked for yet are kept --- */

enum { WEFTRUN_MPI_COLLECTIVE = -2 }; /* the tag of what collective calls send */
typedef struct weftrun_mpi_message {
  struct weftrun_mpi_message *next;
  uint32_t from, bytes;
  int32_t tag;
  char data[];
} weftrun_mpi_message;
static weftrun_mpi_message *weftrun_mpi_kept;

static inline void weftrun_mpi_send(uint32_t to, int32_t tag, const void *data, uint32_t bytes) {
  char *whole = malloc(bytes + 4);
  if (!whole) abort();
  memcpy(whole, &tag, 4);
  memcpy(whole + 4, data, bytes);
  weftrun_send(to, whole, bytes + 4);
  free(whole);
}
static inline weftrun_mpi_message *weftrun_mpi_next(uint32_t from) {
  uint32_t bytes = weftrun_next(from);
  char *whole = malloc(bytes);
  weftrun_mpi_message *made = malloc(sizeof *made + bytes);
  if (!whole || !made) abort();
  weftrun_receive(from, whole, bytes);
  made->next = NULL;
  made->from = from;
  made->bytes = bytes - 4;
  memcpy(&made->tag, whole, 4);
  memcpy(made->data, whole + 4, bytes - 4);
  free(whole);
  return made;
}
/* Takes the first message of a member with this tag, and waits for it if need be; returns how long it is. */
static inline uint32_t weftrun_mpi_receive(
    const char *call, uint32_t from, int32_t tag, void *at, uint32_t room, int32_t *told) {
  weftrun_mpi_message **place = &weftrun_mpi_kept;
  for (;;) {
    for (; *place; place = &(*place)->next)
      if ((*place)->from == from && ((*place)->tag == tag || (tag == MPI_ANY_TAG && (*place)->tag >= 0))) break;
    if (*place) break;
    *place = weftrun_mpi_next(from);
  }
  weftrun_mpi_message *found = *place;
  uint32_t bytes = found->bytes;
  if (bytes > room) weftrun_mpi_fail(call, "the message is longer than there is room for it");
  memcpy(at, found->data, bytes);
  if (told) *told = found->tag;
  *place = found->next;
  free(found);
  return bytes;
}

/* --- the environment --- */

static inline int MPI_Init(int *argc, char ***argv) { (void)argc; (void)argv; return 0; }
static inline int MPI_Finalize(void) { return 0; }
static inline int MPI_Abort(MPI_Comm comm, int code) { (void)comm; exit(code ? code : 1); }
static inline int MPI_Comm_rank(MPI_Comm comm, int *rank) { (void)comm; *rank = (int)weftrun_rank(); return 0; }
static inline int MPI_Comm_size(MPI_Comm comm, int *size) { (void)comm; *size = (int)weftrun_members(); return 0; }
static inline int MPI_Get_processor_name(char *name, int *length) { *length = sprintf(name, "weftrun"); return 0; }
static inline double MPI_Wtime(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- point to point --- */

static inline int MPI_Send(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
  (void)comm;
  if (tag < 0) weftrun_mpi_fail("MPI_Send", "a tag is 0 or more");
  weftrun_mpi_send((uint32_t)to, tag, data, weftrun_mpi_bytes("MPI_Send", count, type));
  return 0;
}
static inline int MPI_Recv(void *at, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Status *status) {
  (void)comm;
  int32_t told = tag;
  uint32_t room = weftrun_mpi_bytes("MPI_Recv", count, type);
  uint32_t bytes = weftrun_mpi_receive("MPI_Recv", (uint32_t)from, tag, at, room, &told);
  if (status) *status = (MPI_Status){from, told, 0, bytes};
  return 0;
}
static inline int MPI_Get_count(const MPI_Status *status, MPI_Datatype type, int *count) {
  *count = (int)(status->weftrun_bytes / (type & 0xff));
  return 0;
}
static inline int MPI_Sendrecv(
    const void *data, int count, MPI_Datatype type, int to, int tag, void *at, int room, MPI_Datatype as, int from,
    int its_tag, MPI_Comm comm, MPI_Status *status) {
  MPI_Send(data, count, type, to, tag, comm);
  return MPI_Recv(at, room, as, from, its_tag, comm, status);
}
static inline int MPI_Isend(
    const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request) {
  *request = MPI_REQUEST_NULL; /* it was copied: there is nothing to wait for */
  return MPI_Send(data, count, type, to, tag, comm);
}
static inline int MPI_Irecv(
    void *at, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request *request) {
  (void)comm;
  *request = (MPI_Request){at, weftrun_mpi_bytes("MPI_Irecv", count, type), from, tag};
  return 0;
}
static inline int MPI_Wait(MPI_Request *request, MPI_Status *status) {
  if (request->from >= 0) MPI_Recv(request->at, (int)request->bytes, MPI_BYTE, request->from, request->tag, MPI_COMM_WORLD, status);
  *request = MPI_REQUEST_NULL;
  return 0;
}
static inline int MPI_Waitall(int count, MPI_Request requests[], MPI_Status statuses[]) {
  for (int i = 0; i < count; i++) MPI_Wait(requests + i, statuses ? statuses + i : MPI_STATUS_IGNORE);
  return 0;
}

/* --- collective --- */

static inline void weftrun_mpi_give(uint32_t to, const void *data, uint32_t bytes) {
  weftrun_mpi_send(to, WEFTRUN_MPI_COLLECTIVE, data, bytes);
}
static inline void weftrun_mpi_take(const char *call, uint32_t from, void *at, uint32_t bytes) {
  weftrun_mpi_receive(call, from, WEFTRUN_MPI_COLLECTIVE, at, bytes, NULL);
}
static inline int MPI_Barrier(MPI_Comm comm) { (void)comm; weftrun_barrier(); return 0; }
static inline int MPI_Bcast(void *at, int count, MPI_Datatype type, int root, MPI_Comm comm) {
  (void)comm;
  uint32_t bytes = weftrun_mpi_bytes("MPI_Bcast", count, type), from = (uint32_t)root;
  if (weftrun_rank() != from) weftrun_mpi_take("MPI_Bcast", from, at, bytes);
  else for (uint32_t to = 0; to < weftrun_members(); to++) if (to != from) weftrun_mpi_give(to, at, bytes);
  return 0;
}
static inline int MPI_Gather(
    const void *data, int count, MPI_Datatype type, void *all, int each, MPI_Datatype as, int root, MPI_Comm comm) {
  (void)comm;
  uint32_t own = weftrun_rank(), to = (uint32_t)root;
  if (own != to) { weftrun_mpi_give(to, data, weftrun_mpi_bytes("MPI_Gather", count, type)); return 0; }
  uint32_t bytes = weftrun_mpi_bytes("MPI_Gather", each, as);
  for (uint32_t from = 0; from < weftrun_members(); from++)
    if (from != own) weftrun_mpi_take("MPI_Gather", from, (char *)all + from * bytes, bytes);
    else if (data != MPI_IN_PLACE) memmove((char *)all + from * bytes, data, bytes);
  return 0;
}
static inline int MPI_Allgather(
    const void *data, int count, MPI_Datatype type, void *all, int each, MPI_Datatype as, MPI_Comm comm) {
  uint32_t bytes = weftrun_mpi_bytes("MPI_Allgather", each, as);
  if (data == MPI_IN_PLACE && weftrun_rank()) { data = (char *)all + weftrun_rank() * bytes; count = each; type = as; }
  MPI_Gather(data, count, type, all, each, as, 0, comm);
  return MPI_Bcast(all, each * (int)weftrun_members(), as, 0, comm);
}
static inline int MPI_Scatter(
    const void *all, int each, MPI_Datatype as, void *at, int count, MPI_Datatype type, int root, MPI_Comm comm) {
  (void)comm;
  uint32_t own = weftrun_rank(), from = (uint32_t)root;
  if (own != from) { weftrun_mpi_take("MPI_Scatter", from, at, weftrun_mpi_bytes("MPI_Scatter", count, type)); return 0; }
  uint32_t bytes = weftrun_mpi_bytes("MPI_Scatter", each, as);
  for (uint32_t to = 0; to < weftrun_members(); to++)
    if (to != own) weftrun_mpi_give(to, (const char *)all + to * bytes, bytes);
    else if (at != MPI_IN_PLACE) memmove(at, (const char *)all + to * bytes, bytes);
  return 0;
}
static inline int MPI_Alltoall(
    const void *all, int each, MPI_Datatype as, void *given, int count, MPI_Datatype type, MPI_Comm comm) {
  (void)comm;
  uint32_t bytes = weftrun_mpi_bytes("MPI_Alltoall", each, as), room = weftrun_mpi_bytes("MPI_Alltoall", count, type);
  for (uint32_t to = 0; to < weftrun_members(); to++) weftrun_mpi_give(to, (const char *)all + to * bytes, bytes);
  for (uint32_t from = 0; from < weftrun_members(); from++)
    weftrun_mpi_take("MPI_Alltoall", from, (char *)given + from * room, room);
  return 0;
}
static inline void weftrun_mpi_join(const char *call, void *at, const void *other, int count, MPI_Datatype type, MPI_Op how) {
  uint32_t number = type >> 8 & 0xff;
  if (number == WEFTRUN_MPI_NO_NUMBER) weftrun_mpi_fail(call, "bytes are no numbers that could be joined");
  if (type >> 16 && how >= WEFTRUN_MIN) weftrun_mpi_fail(call, "the least and the greatest are those of numbers with a sign");
  weftrun_combine(at, other, (uint32_t)count, (int)number, how);
}
/* Joins what all have, in their order, in rank `root`. */
static inline int MPI_Reduce(
    const void *data, void *at, int count, MPI_Datatype type, MPI_Op how, int root, MPI_Comm comm) {
  (void)comm;
  uint32_t bytes = weftrun_mpi_bytes("MPI_Reduce", count, type), own = weftrun_rank(), to = (uint32_t)root;
  if (own != to) { weftrun_mpi_give(to, data, bytes); return 0; }
  char *mine = malloc(bytes + 1), *other = malloc(bytes + 1);
  if (!mine || !other) abort();
  memcpy(mine, data == MPI_IN_PLACE ? at : data, bytes);
  for (uint32_t from = 0; from < weftrun_members(); from++) {
    if (from != own) weftrun_mpi_take("MPI_Reduce", from, other, bytes);
    const char *next = from == own ? mine : other;
    if (from == 0) memcpy(at, next, bytes);
    else weftrun_mpi_join("MPI_Reduce", at, next, count, type, how);
  }
  free(mine);
  free(other);
  return 0;
}
static inline int MPI_Allreduce(const void *data, void *at, int count, MPI_Datatype type, MPI_Op how, MPI_Comm comm) {
  if (data == MPI_IN_PLACE && weftrun_rank()) data = at;
  MPI_Reduce(data, at, count, type, how, 0, comm);
  return MPI_Bcast(at, count, type, 0, comm);
}
/* Joins what the ranks before this one and it have, in their order. */
static inline int MPI_Scan(const void *data, void *at, int count, MPI_Datatype type, MPI_Op how, MPI_Comm comm) {
  (void)comm;
  uint32_t bytes = weftrun_mpi_bytes("MPI_Scan", count, type), own = weftrun_rank();
  char *mine = malloc(bytes + 1);
  if (!mine) abort();
  memcpy(mine, data == MPI_IN_PLACE ? at : data, bytes);
  if (own == 0) memcpy(at, mine, bytes);
  else {
    weftrun_mpi_take("MPI_Scan", own - 1, at, bytes);
    weftrun_mpi_join("MPI_Scan", at, mine, count, type, how);
  }
  free(mine);
  if (own + 1 < weftrun_members()) weftrun_mpi_give(own + 1, at, bytes);
  return 0;
}

/* --- the program: its `main` is what each rank runs; in the text of this macro `main` is that of the module --- */

static char *weftrun_mpi_argv[] = {"program", NULL};
#define main(...) \
  weftrun_mpi_program(__VA_ARGS__); \
  static int weftrun_mpi_rank(void) { \
    int code = _Generic(&weftrun_mpi_program, \
      int (*)(void): ((int (*)(void))weftrun_mpi_program)(), \
      default: ((int (*)(int, char **))weftrun_mpi_program)(1, weftrun_mpi_argv)); \
    fflush(stdout); \
    return code; \
  } \
  int main(void) { return weftrun_group(weftrun_mpi_rank, WEFTRUN_MPI_RANKS); } \
  int weftrun_mpi_program(__VA_ARGS__)

#endif
