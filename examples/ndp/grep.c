/* Finds the lines of a key that match a regular expression (POSIX, extended), beside it.
 * Input: the key, a space, the expression. Output: the number of each line, from 1. */
#include <regex.h>
#include <stdio.h>
#include "words.h"

static const char *key, *expression;
static uint32_t *lines, count, room;

static int search(void) {
  regex_t compiled;
  if (regcomp(&compiled, expression, REG_EXTENDED | REG_NOSUB)) return -2;
  uint32_t bytes, number = 0;
  char *text = weftrun_object_map(key, 0, -1, &bytes), *line = NULL;
  if (!text) return -1;
  size_t width = 0;
  for (uint32_t at = 0; at < bytes;) {
    const char *end = memchr(text + at, '\n', bytes - at);
    uint32_t length = end ? (uint32_t)(end - (text + at)) : bytes - at;
    if (width < length + 1) line = realloc(line, width = length * 2 + 1);
    if (!line) abort();
    memcpy(line, text + at, length);
    line[length] = 0;
    number++;
    if (!regexec(&compiled, line, 0, NULL, 0)) {
      if (count == room) lines = realloc(lines, (room = room ? room * 2 : 64) * sizeof *lines);
      if (!lines) abort();
      lines[count++] = number;
    }
    at += length + 1;
  }
  free(line);
  regfree(&compiled);
  weftrun_object_unmap(text);
  return 0;
}

int main(void) {
  char *input = weftrun_input(NULL), text[16];
  key = next_word(&input, 0);
  expression = next_word(&input, 1);
  if (!key || !expression) {
    fprintf(stderr, "the input is: KEY EXPRESSION\n");
    return 1;
  }
  int failed = weftrun_storage_call(key, search, 0, 0);
  if (failed) {
    fprintf(stderr, failed == -2 ? "%s is no regular expression\n" : "no key %s\n", failed == -2 ? expression : key);
    return 1;
  }
  for (uint32_t i = 0; i < count; i++)
    weftrun_output_add(text, (uint32_t)snprintf(text, sizeof text, "%u\n", lines[i]));
  return 0;
}
