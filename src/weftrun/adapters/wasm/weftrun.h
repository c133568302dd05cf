/* What a WebAssembly function written in C or C++ may call. `weftrun build fn.c` finds this header by itself.
 *
 * A function is a program: its `main` is entered for each call, in a fresh instance, and returns 0 when it succeeded.
 * What it prints is kept with the Attempt. Keys are of the bucket that the function was given.
 *
 * A program may export `int weftrun_init(void)` by WEFTRUN_INIT. It runs once in a process, and each later instance begins
 * with the memory that it has left. It returns 0 when it succeeded, and should do the same wherever it runs: where it
 * does not, storage calls of the program run here. (Not in C++: constructors run again after it.)
 *
 * Where the store of the bucket can't be reached, or a key that was read is written by somebody else before this call
 * writes it, the call ends and the engine may try it again; it is not told as a return value.
 */
#ifndef WEFTRUN_H
#define WEFTRUN_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFTRUN_INIT __attribute__((export_name("weftrun_init"))) int weftrun_init(void)
#define WEFTRUN_IMPORT(name) __attribute__((import_module("weftrun"), import_name(#name)))

/* --- raw imports; the functions below are easier to use --- */
WEFTRUN_IMPORT(input_size) uint32_t weftrun_raw_input_size(void);
WEFTRUN_IMPORT(input_read) uint32_t weftrun_raw_input_read(void *at, uint32_t bytes, uint32_t offset);
WEFTRUN_IMPORT(output_set) int32_t weftrun_raw_output_set(const void *at, uint32_t bytes);
WEFTRUN_IMPORT(output_append) int32_t weftrun_raw_output_append(const void *at, uint32_t bytes);
WEFTRUN_IMPORT(object_size) int64_t weftrun_raw_object_size(const char *key, uint32_t key_bytes);
WEFTRUN_IMPORT(object_read)
int64_t weftrun_raw_object_read(const char *key, uint32_t key_bytes, int64_t offset, void *at, uint32_t bytes);
WEFTRUN_IMPORT(object_map)
void *weftrun_raw_object_map(const char *key, uint32_t key_bytes, int64_t offset, int64_t bytes, uint32_t *shown);
WEFTRUN_IMPORT(object_unmap) int32_t weftrun_raw_object_unmap(const void *at);
WEFTRUN_IMPORT(object_write)
int32_t weftrun_raw_object_write(const char *key, uint32_t key_bytes, const void *at, uint32_t bytes);
WEFTRUN_IMPORT(object_delete) int32_t weftrun_raw_object_delete(const char *key, uint32_t key_bytes);
WEFTRUN_IMPORT(object_list)
int64_t weftrun_raw_object_list(const char *prefix, uint32_t prefix_bytes, void *at, uint32_t bytes);
WEFTRUN_IMPORT(object_select)
int64_t weftrun_raw_object_select(
    const char *key, uint32_t key_bytes, const char *wanted, uint32_t wanted_bytes, void *at, uint32_t bytes);
WEFTRUN_IMPORT(step_key) int32_t weftrun_raw_step_key(void *at, uint32_t bytes);
WEFTRUN_IMPORT(state_size) int64_t weftrun_raw_state_size(const char *key, uint32_t key_bytes);
WEFTRUN_IMPORT(state_map)
void *weftrun_raw_state_map(const char *key, uint32_t key_bytes, uint32_t bytes, uint32_t *shown);
WEFTRUN_IMPORT(state_push) int32_t weftrun_raw_state_push(const char *key, uint32_t key_bytes);
WEFTRUN_IMPORT(state_pull) int32_t weftrun_raw_state_pull(const char *key, uint32_t key_bytes);
WEFTRUN_IMPORT(state_push_part)
int32_t weftrun_raw_state_push_part(const char *key, uint32_t key_bytes, uint32_t offset, int32_t bytes);
WEFTRUN_IMPORT(state_pull_part)
int32_t weftrun_raw_state_pull_part(const char *key, uint32_t key_bytes, uint32_t offset, int32_t bytes);
WEFTRUN_IMPORT(state_append)
int32_t weftrun_raw_state_append(const char *key, uint32_t key_bytes, const void *data, uint32_t bytes);
WEFTRUN_IMPORT(state_appended)
int64_t weftrun_raw_state_appended(const char *key, uint32_t key_bytes, void *at, uint32_t bytes);
WEFTRUN_IMPORT(state_clear_appended) int32_t weftrun_raw_state_clear_appended(const char *key, uint32_t key_bytes);
WEFTRUN_IMPORT(state_lock_global) int32_t weftrun_raw_state_lock_global(const char *key, uint32_t key_bytes);
WEFTRUN_IMPORT(state_unlock_global) int32_t weftrun_raw_state_unlock_global(const char *key, uint32_t key_bytes);
WEFTRUN_IMPORT(state_lock) int32_t weftrun_raw_state_lock(const char *key, uint32_t key_bytes, int32_t writes);
WEFTRUN_IMPORT(state_unlock) int32_t weftrun_raw_state_unlock(const char *key, uint32_t key_bytes);
WEFTRUN_IMPORT(call_named)
uint32_t weftrun_raw_call_named(const char *name, uint32_t name_bytes, const void *input, uint32_t bytes);
WEFTRUN_IMPORT(call_pointed) uint32_t weftrun_raw_call_pointed(uint32_t function, const void *input, uint32_t bytes);
WEFTRUN_IMPORT(merge) int32_t weftrun_raw_merge(void *at, uint32_t count, int32_t type, int32_t how);
WEFTRUN_IMPORT(call_join) int32_t weftrun_raw_call_join(uint32_t call);
WEFTRUN_IMPORT(call_await) int32_t weftrun_raw_call_await(uint32_t call);
WEFTRUN_IMPORT(call_output) int64_t weftrun_raw_call_output(uint32_t call, void *at, uint32_t bytes);
WEFTRUN_IMPORT(group_run) int32_t weftrun_raw_group_run(uint32_t function, uint32_t members);
WEFTRUN_IMPORT(group_rank) uint32_t weftrun_raw_group_rank(void);
WEFTRUN_IMPORT(group_size) uint32_t weftrun_raw_group_size(void);
WEFTRUN_IMPORT(group_send) int32_t weftrun_raw_group_send(uint32_t to, const void *at, uint32_t bytes);
WEFTRUN_IMPORT(group_receive) uint32_t weftrun_raw_group_receive(uint32_t from, void *at, uint32_t bytes);
WEFTRUN_IMPORT(group_next) uint32_t weftrun_raw_group_next(uint32_t from);
WEFTRUN_IMPORT(group_barrier) int32_t weftrun_raw_group_barrier(void);
WEFTRUN_IMPORT(group_lock) int32_t weftrun_raw_group_lock(uint32_t number);
WEFTRUN_IMPORT(group_unlock) int32_t weftrun_raw_group_unlock(uint32_t number);
WEFTRUN_IMPORT(group_share) void *weftrun_raw_group_share(uint32_t bytes);
WEFTRUN_IMPORT(storage_call)
int32_t weftrun_raw_storage_call(const char *key, uint32_t key_bytes, uint32_t function, int32_t a, int32_t b);

/* --- input and output --- */

/* The input as text that ends with a zero byte; `*bytes` is its length without that. The caller frees it. */
static inline char *weftrun_input(uint32_t *bytes) {
  uint32_t size = weftrun_raw_input_size();
  char *text = (char *)malloc((size_t)size + 1);
  if (!text) abort();
  weftrun_raw_input_read(text, size, 0);
  text[size] = 0;
  if (bytes) *bytes = size;
  return text;
}

/* Sets the answer; the last one counts. */
static inline void weftrun_output(const void *data, uint32_t bytes) { weftrun_raw_output_set(data, bytes); }
static inline void weftrun_output_text(const char *text) { weftrun_raw_output_set(text, (uint32_t)strlen(text)); }
/* Adds to the answer. */
static inline void weftrun_output_add(const void *data, uint32_t bytes) { weftrun_raw_output_append(data, bytes); }

/* --- keys of the bucket --- */

/* Length of a value; -1 where the key isn't there. */
static inline int64_t weftrun_object_size(const char *key) {
  return weftrun_raw_object_size(key, (uint32_t)strlen(key));
}
/* Copies bytes of a value to `at`; returns how many there were, or -1 where the key isn't there. */
static inline int64_t weftrun_object_read(const char *key, int64_t offset, void *at, uint32_t bytes) {
  return weftrun_raw_object_read(key, (uint32_t)strlen(key), offset, at, bytes);
}
/* Shows bytes of a value in memory, all from `offset` on where `bytes` is negative. NULL where the key isn't there or
 * memory can't grow. What is written there changes this memory only. In a storage call it is gone when that returns. */
static inline void *weftrun_object_map(const char *key, int64_t offset, int64_t bytes, uint32_t *shown) {
  return weftrun_raw_object_map(key, (uint32_t)strlen(key), offset, bytes, shown);
}
/* Takes away what `weftrun_object_map` has shown at `at`; -1 where nothing is shown there. */
static inline int weftrun_object_unmap(const void *at) { return weftrun_raw_object_unmap(at); }
/* Replaces a value, at once and whole. The same write of a Step that is tried again happens once. */
static inline void weftrun_object_write(const char *key, const void *data, uint32_t bytes) {
  weftrun_raw_object_write(key, (uint32_t)strlen(key), data, bytes);
}
/* Removes a key; -1 where it wasn't there. */
static inline int weftrun_object_delete(const char *key) {
  return weftrun_raw_object_delete(key, (uint32_t)strlen(key));
}
/* Writes the keys that begin with `prefix`, a line each, as far as there is room; returns how long all of them are. */
static inline int64_t weftrun_object_list(const char *prefix, char *at, uint32_t bytes) {
  return weftrun_raw_object_list(prefix, (uint32_t)strlen(prefix), at, bytes);
}

/* Chooses lines of a value, where that lies if the store can, else here: the result is the same. `wanted` is JSON, such as
 * {"contains": "ERROR", "field": 3, "separator": ",", "least": 10, "most": 20, "gives": "count"}. Each part may be left out: the
 * text that a line has; its field, from 1, and what stands between fields (a space); bounds of the field as a number; what is
 * wanted, "lines", their "count" or the "sum" of the field. Returns text that ends with a zero byte, which the caller
 * frees; `*bytes` is its length without that. NULL where the key isn't there. */
static inline char *weftrun_object_select(const char *key, const char *wanted, uint32_t *bytes) {
  uint32_t key_bytes = (uint32_t)strlen(key), wanted_bytes = (uint32_t)strlen(wanted);
  int64_t size = weftrun_raw_object_select(key, key_bytes, wanted, wanted_bytes, 0, 0);
  if (size < 0) return NULL;
  char *text = (char *)malloc((size_t)size + 1);
  if (!text) abort();
  if (size) weftrun_raw_object_select(key, key_bytes, wanted, wanted_bytes, text, (uint32_t)size);
  text[size] = 0;
  if (bytes) *bytes = (uint32_t)size;
  return text;
}

/* Writes the key of the Step, the same for all its Attempts, as far as there is room; returns how long it is. */
static inline int weftrun_step_key(char *at, uint32_t bytes) { return weftrun_raw_step_key(at, bytes); }

/* --- state that calls on this host share --- */

/* Length of the state of a key, here or in the bucket; -1 where there is none. */
static inline int64_t weftrun_state_size(const char *key) {
  return weftrun_raw_state_size(key, (uint32_t)strlen(key));
}
/* Maps the state of a key into memory; the first one makes it, with `bytes` zeros, or of the copy in the bucket. All calls
 * on this host that map it see one another's writes at once. Its length never changes. NULL where memory can't grow. */
static inline void *weftrun_state_map(const char *key, uint32_t bytes, uint32_t *shown) {
  uint32_t length;
  return weftrun_raw_state_map(key, (uint32_t)strlen(key), bytes, shown ? shown : &length);
}
/* Copies the state of a key into the bucket, and back: nothing else moves it between hosts. -1 where there is none. */
static inline int weftrun_state_push(const char *key) { return weftrun_raw_state_push(key, (uint32_t)strlen(key)); }
static inline int weftrun_state_pull(const char *key) { return weftrun_raw_state_pull(key, (uint32_t)strlen(key)); }
/* The same of a part, all that follows where `bytes` is negative; what others have pushed of the rest stays. */
static inline int weftrun_state_push_part(const char *key, uint32_t offset, int32_t bytes) {
  return weftrun_raw_state_push_part(key, (uint32_t)strlen(key), offset, bytes);
}
static inline int weftrun_state_pull_part(const char *key, uint32_t offset, int32_t bytes) {
  return weftrun_raw_state_pull_part(key, (uint32_t)strlen(key), offset, bytes);
}
/* Adds bytes to a list of the key in the bucket, after those of all others; once, also where the Step is tried again. */
static inline void weftrun_state_append(const char *key, const void *data, uint32_t bytes) {
  weftrun_raw_state_append(key, (uint32_t)strlen(key), data, bytes);
}
/* Copies what was appended to `at`, as far as there is room; returns how long all of it is. */
static inline int64_t weftrun_state_appended(const char *key, void *at, uint32_t bytes) {
  return weftrun_raw_state_appended(key, (uint32_t)strlen(key), at, bytes);
}
/* Removes what was appended; -1 where there was nothing. */
static inline int weftrun_state_clear_appended(const char *key) {
  return weftrun_raw_state_clear_appended(key, (uint32_t)strlen(key));
}
/* Waits for the lock of a key over all hosts, which the bucket keeps. It is free again when the call ends, and about 5 s
 * after its process has died. A push of the state under it fails where somebody else has pushed since the lock was taken. */
static inline void weftrun_state_lock_global(const char *key) {
  weftrun_raw_state_lock_global(key, (uint32_t)strlen(key));
}
static inline int weftrun_state_unlock_global(const char *key) {
  return weftrun_raw_state_unlock_global(key, (uint32_t)strlen(key));
}
/* Waits for a lock of a key on this host; it is free again at the end of the call, however that comes. */
static inline void weftrun_state_lock(const char *key, int writes) {
  weftrun_raw_state_lock(key, (uint32_t)strlen(key), writes);
}
static inline int weftrun_state_unlock(const char *key) { return weftrun_raw_state_unlock(key, (uint32_t)strlen(key)); }

/* --- other functions ---
 *
 * A program that calls others is a workflow: each call is a Step, and runs beside this program. After a crash the program
 * is begun again with the answers that are on record, so it has no shared state, its time stands still between two
 * answers, and what is random is the same again. What it reads and writes of keys are Steps, too. */

/* Lets a function be called by its name; returns the number of the call at once. */
static inline uint32_t weftrun_call(const char *name, const void *input, uint32_t bytes) {
  return weftrun_raw_call_named(name, (uint32_t)strlen(name), input, bytes);
}
/* Lets a function of this program be called, in another instance with a copy of this memory; it takes nothing, returns 0
 * where it has succeeded, and has an input and an output of its own. It may not call others. */
static inline uint32_t weftrun_call_pointed(int (*function)(void), const void *input, uint32_t bytes) {
  return weftrun_raw_call_pointed((uint32_t)(uintptr_t)function, input, bytes);
}
enum { WEFTRUN_I32, WEFTRUN_I64, WEFTRUN_F32, WEFTRUN_F64 };
enum { WEFTRUN_SUM, WEFTRUN_PRODUCT, WEFTRUN_MIN, WEFTRUN_MAX, WEFTRUN_LAST };
/* Declares `count` numbers that functions called by their pointers from now on give back. Each begins with 0 for a sum, with 1
 * for a product, and else with what is there. A count of 0 takes back what was declared. */
static inline void weftrun_merge(void *at, uint32_t count, int type, int how) { weftrun_raw_merge(at, count, type, how); }
/* Waits for a call by pointer, and joins what it gives back with what is there; returns 0 where it has succeeded. */
static inline int weftrun_join(uint32_t call) { return weftrun_raw_call_join(call); }
/* Waits for a call; returns 0 where it has succeeded. */
static inline int weftrun_await(uint32_t call) { return weftrun_raw_call_await(call); }
/* Waits for a call, and returns its output as text that ends with a zero byte, which the caller frees; `*bytes` is its
 * length without that. NULL where the call has failed. */
static inline char *weftrun_await_output(uint32_t call, uint32_t *bytes) {
  int64_t size = weftrun_raw_call_output(call, 0, 0);
  if (size < 0) return NULL;
  char *text = (char *)malloc((size_t)size + 1);
  if (!text) abort();
  weftrun_raw_call_output(call, text, (uint32_t)size);
  text[size] = 0;
  if (bytes) *bytes = (uint32_t)size;
  return text;
}

/* --- groups: functions of this program that run at once, on this host, and talk to one another ---
 *
 * Each member has a copy of this memory and of `weftrun_input`; what is declared by `weftrun_merge` comes back, those of
 * members with lower numbers first, and the output of member 0, if it sets one. What members wait for is told where it can't
 * come: a member that traps, returns another number than 0, or ends while others wait for it ends the whole group. */

/* Runs a function in so many members, up to 64. Returns 0 where all of them have, else what the first one that failed
 * has returned. A member's trap is this call's trap. */
static inline int weftrun_group(int (*function)(void), uint32_t members) {
  return weftrun_raw_group_run((uint32_t)(uintptr_t)function, members);
}
/* Memory, filled with zeros, that members of groups made later share; NULL where there is no room. */
static inline void *weftrun_share(uint32_t bytes) { return weftrun_raw_group_share(bytes); }
/* Which member this is, from 0, and how many there are; 0 and 1 outside of a group. */
static inline uint32_t weftrun_rank(void) { return weftrun_raw_group_rank(); }
static inline uint32_t weftrun_members(void) { return weftrun_raw_group_size(); }
/* Hands a message over and goes on; it waits where 16 MiB that were sent to that member are not taken yet. */
static inline void weftrun_send(uint32_t to, const void *data, uint32_t bytes) { weftrun_raw_group_send(to, data, bytes); }
/* Takes the next message of a member, of up to `bytes`, and returns how long it was; waits for it. */
static inline uint32_t weftrun_receive(uint32_t from, void *at, uint32_t bytes) {
  return weftrun_raw_group_receive(from, at, bytes);
}
/* Waits for the next message of a member, and returns how long it is. */
static inline uint32_t weftrun_next(uint32_t from) { return weftrun_raw_group_next(from); }
/* Waits until all members are here. */
static inline void weftrun_barrier(void) { weftrun_raw_group_barrier(); }
/* Locks of the group, by number; a member that ends gives its own back. */
static inline void weftrun_lock(uint32_t number) { weftrun_raw_group_lock(number); }
static inline void weftrun_unlock(uint32_t number) { weftrun_raw_group_unlock(number); }

/* What follows is called by all members, with the same arguments but for the data. */

/* Gives all members what `root` has. */
static inline void weftrun_broadcast(uint32_t root, void *at, uint32_t bytes) {
  if (weftrun_rank() != root) weftrun_receive(root, at, bytes);
  else for (uint32_t to = 0; to < weftrun_members(); to++) if (to != root) weftrun_send(to, at, bytes);
}
/* Puts the `bytes` of each member one after the other into `all` of `root`. */
static inline void weftrun_gather(uint32_t root, const void *at, uint32_t bytes, void *all) {
  weftrun_send(root, at, bytes);
  if (weftrun_rank() == root)
    for (uint32_t from = 0; from < weftrun_members(); from++) weftrun_receive(from, (char *)all + from * bytes, bytes);
}
/* The same, into `all` of each member. */
static inline void weftrun_gather_all(const void *at, uint32_t bytes, void *all) {
  weftrun_gather(0, at, bytes, all);
  weftrun_broadcast(0, all, bytes * weftrun_members());
}
/* Gives each member its `bytes` of what `root` has in `all`. */
static inline void weftrun_scatter(uint32_t root, const void *all, uint32_t bytes, void *at) {
  if (weftrun_rank() == root)
    for (uint32_t to = 0; to < weftrun_members(); to++) weftrun_send(to, (const char *)all + to * bytes, bytes);
  weftrun_receive(root, at, bytes);
}
/* Gives each member its `bytes` of what each has in `all`: those of member `n` go to place `n` of `given`. */
static inline void weftrun_exchange(const void *all, uint32_t bytes, void *given) {
  for (uint32_t to = 0; to < weftrun_members(); to++) weftrun_send(to, (const char *)all + to * bytes, bytes);
  for (uint32_t from = 0; from < weftrun_members(); from++) weftrun_receive(from, (char *)given + from * bytes, bytes);
}

#define WEFTRUN_JOIN_AS(type) \
  for (uint32_t i = 0; i < count; i++) { \
    type *own = (type *)at + i, given = ((const type *)other)[i]; \
    *own = how == WEFTRUN_SUM ? *own + given : how == WEFTRUN_PRODUCT ? *own * given \
         : how == WEFTRUN_MIN ? (given < *own ? given : *own) : how == WEFTRUN_MAX ? (given > *own ? given : *own) : given; \
  }
/* Joins `count` numbers with others of the same type, as `weftrun_merge` says; whole numbers wrap around. */
static inline void weftrun_combine(void *at, const void *other, uint32_t count, int type, int how) {
  if (type == WEFTRUN_I32 && how < WEFTRUN_MIN) { WEFTRUN_JOIN_AS(uint32_t) }
  else if (type == WEFTRUN_I64 && how < WEFTRUN_MIN) { WEFTRUN_JOIN_AS(uint64_t) }
  else if (type == WEFTRUN_I32) { WEFTRUN_JOIN_AS(int32_t) }
  else if (type == WEFTRUN_I64) { WEFTRUN_JOIN_AS(int64_t) }
  else if (type == WEFTRUN_F32) { WEFTRUN_JOIN_AS(float) }
  else { WEFTRUN_JOIN_AS(double) }
}
/* Joins the numbers of all members that come before this one and its own, in their order; each has its result in `at`. */
static inline void weftrun_scan(void *at, uint32_t count, int type, int how) {
  uint32_t bytes = count * (type == WEFTRUN_I64 || type == WEFTRUN_F64 ? 8 : 4), rank = weftrun_rank();
  if (rank) {
    void *before = malloc(bytes), *own = malloc(bytes);
    if (!before || !own) abort();
    weftrun_receive(rank - 1, before, bytes);
    memcpy(own, at, bytes);
    memcpy(at, before, bytes);
    weftrun_combine(at, own, count, type, how);
    free(before);
    free(own);
  }
  if (rank + 1 < weftrun_members()) weftrun_send(rank + 1, at, bytes);
}
/* Joins the numbers of all members, in their order; `root` has the result in `at`, the others have what came before them. */
static inline void weftrun_reduce(uint32_t root, void *at, uint32_t count, int type, int how) {
  uint32_t bytes = count * (type == WEFTRUN_I64 || type == WEFTRUN_F64 ? 8 : 4), last = weftrun_members() - 1;
  weftrun_scan(at, count, type, how);
  if (root == last) return;
  if (weftrun_rank() == last) weftrun_send(root, at, bytes);
  else if (weftrun_rank() == root) weftrun_receive(last, at, bytes);
}
/* The same, and all members have the result. */
static inline void weftrun_reduce_all(void *at, uint32_t count, int type, int how) {
  weftrun_scan(at, count, type, how);
  weftrun_broadcast(weftrun_members() - 1, at, count * (type == WEFTRUN_I64 || type == WEFTRUN_F64 ? 8 : 4));
}

/* --- near storage --- */

/* Runs `function(a, b)` beside the key where that is possible and allowed, else here, with the same result: all that
 * it reads and writes is this program's memory. It takes up to two ints and returns one, which is returned. */
#define weftrun_storage_call(key, function, a, b) \
  weftrun_raw_storage_call((key), (uint32_t)strlen(key), (uint32_t)(uintptr_t)(function), (a), (b))

#ifdef __cplusplus
}
#endif
#endif
