/* Finds a text in the value of a key, beside it. Input: the key, a space, the text.
 * Output: how often it is there, and the first 64 places, a line each. */
#include <stdio.h>
#include "words.h"

#define KEPT 64

static const char *key, *wanted;
static uint32_t found, places[KEPT];

static int search(void) {
  uint32_t bytes, length = (uint32_t)strlen(wanted);
  const char *text = weftrun_object_map(key, 0, -1, &bytes);
  if (!text) return -1;
  const char *end = text + bytes, *at = text;
  while (end - at >= (ptrdiff_t)length && (at = memchr(at, wanted[0], (size_t)(end - at) - length + 1))) {
    if (memcmp(at, wanted, length)) {
      at++;
      continue;
    }
    if (found < KEPT) places[found] = (uint32_t)(at - text);
    found++;
    at += length;
  }
  weftrun_object_unmap(text);
  return 0;
}

int main(void) {
  char *input = weftrun_input(NULL);
  key = next_word(&input, 0);
  wanted = next_word(&input, 1);
  if (!key || !wanted) {
    fprintf(stderr, "the input is: KEY TEXT\n");
    return 1;
  }
  if (weftrun_storage_call(key, search, 0, 0)) {
    fprintf(stderr, "no key %s\n", key);
    return 1;
  }
  char line[16];
  weftrun_output_add(line, (uint32_t)snprintf(line, sizeof line, "%u\n", found));
  for (uint32_t i = 0; i < found && i < KEPT; i++)
    weftrun_output_add(line, (uint32_t)snprintf(line, sizeof line, "%u\n", places[i]));
  return 0;
}
