/* Replaces a text in the value of a key, beside it. Input: the key, the text and what takes its place, apart by spaces.
 * Output: how often. */
#include <stdio.h>
#include "words.h"

static const char *key, *wanted, *instead;
static uint32_t replaced;

static int replace(void) {
  uint32_t bytes, length = (uint32_t)strlen(wanted), other = (uint32_t)strlen(instead);
  const char *text = weftrun_object_map(key, 0, -1, &bytes);
  if (!text) return -1;
  uint32_t longest = bytes / length * (other > length ? other - length : 0) + bytes, made = 0;
  char *fresh = malloc(longest ? longest : 1);
  if (!fresh) abort();
  for (uint32_t at = 0; at < bytes;) {
    if (bytes - at >= length && !memcmp(text + at, wanted, length)) {
      memcpy(fresh + made, instead, other);
      made += other;
      at += length;
      replaced++;
    } else {
      fresh[made++] = text[at++];
    }
  }
  weftrun_object_write(key, fresh, made);
  weftrun_object_unmap(text);
  explicit_bzero(fresh, made); /* so that it does not travel back */
  free(fresh);
  return 0;
}

int main(void) {
  char *input = weftrun_input(NULL), line[16];
  key = next_word(&input, 0);
  wanted = next_word(&input, 0);
  instead = next_word(&input, 1);
  if (!key || !wanted) {
    fprintf(stderr, "the input is: KEY TEXT [INSTEAD]\n");
    return 1;
  }
  if (!instead) instead = "";
  if (weftrun_storage_call(key, replace, 0, 0)) {
    fprintf(stderr, "no key %s\n", key);
    return 1;
  }
  weftrun_output(line, (uint32_t)snprintf(line, sizeof line, "%u\n", replaced));
  return 0;
}
