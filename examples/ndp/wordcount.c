/* Counts the words of a key. Reading and counting run beside the data; sorting and printing run here.
 * Input: the key. Output: a line "word count" for each word, the most frequent first. */
#include <stdio.h>
#include <weftrun.h>

typedef struct {
  char *word;
  uint32_t length, count, hash;
} Entry;

static Entry *table;
static uint32_t slots, used;
static const char *key;

static void grow(void) {
  uint32_t wider = slots ? slots * 2 : 1024;
  Entry *fresh = calloc(wider, sizeof *fresh);
  if (!fresh) abort();
  for (uint32_t i = 0; i < slots; i++) {
    if (!table[i].word) continue;
    uint32_t at = table[i].hash & (wider - 1);
    while (fresh[at].word) at = (at + 1) & (wider - 1);
    fresh[at] = table[i];
  }
  free(table);
  table = fresh;
  slots = wider;
}

static void add(const unsigned char *word, uint32_t length, uint32_t hash) {
  if (used * 2 >= slots) grow();
  uint32_t at = hash & (slots - 1);
  while (table[at].word && (table[at].hash != hash || table[at].length != length || memcmp(table[at].word, word, length)))
    at = (at + 1) & (slots - 1);
  if (!table[at].word) {
    char *copy = malloc(length + 1);
    if (!copy) abort();
    memcpy(copy, word, length);
    copy[length] = 0;
    table[at] = (Entry){copy, length, 0, hash};
    used++;
  }
  table[at].count++;
}

static int is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Runs beside the data. What it leaves in memory is the table, not the text. */
static int count(void) {
  uint32_t bytes;
  const unsigned char *text = weftrun_object_map(key, 0, -1, &bytes);
  if (!text) return -1;
  for (uint32_t i = 0; i < bytes;) {
    while (i < bytes && is_space(text[i])) i++;
    uint32_t start = i, hash = 2166136261u;
    while (i < bytes && !is_space(text[i])) hash = (hash ^ text[i++]) * 16777619u;
    if (i > start) add(text + start, i - start, hash);
  }
  weftrun_object_unmap(text);
  return 0;
}

static int by_count(const void *a, const void *b) {
  const Entry *one = a, *other = b;
  if (one->count != other->count) return one->count < other->count ? 1 : -1;
  return strcmp(one->word, other->word);
}

int main(void) {
  key = weftrun_input(NULL);
  if (weftrun_storage_call(key, count, 0, 0) != 0) {
    fprintf(stderr, "no key %s\n", key);
    return 1;
  }
  uint32_t entries = 0;
  for (uint32_t i = 0; i < slots; i++)
    if (table[i].word) table[entries++] = table[i];
  qsort(table, entries, sizeof *table, by_count);
  char line[32];
  for (uint32_t i = 0; i < entries; i++) {
    weftrun_output_add(table[i].word, table[i].length);
    weftrun_output_add(line, (uint32_t)snprintf(line, sizeof line, " %u\n", table[i].count));
  }
  return 0;
}
