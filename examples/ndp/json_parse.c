/* Parses JSON. Reading and parsing run beside the data, and what comes back is the tree; it is written out here.
 * Input: the key. Output: how many bytes the value has when it is written without spaces. */
#include <stdio.h>
#include "words.h"

typedef enum { TOKEN, TEXT, LIST, OBJECT } Kind; /* a token is a number, true, false or null, as it was written */

typedef struct Node {
  Kind kind;
  uint32_t length;
  char *text;               /* of a token, a text, or the name of a member */
  struct Node *first, *next; /* the first member, and the next one beside this; a member of an object has its value first */
} Node;

enum { DEPTH_MAX = 200 };

static const char *key;
static const char *at, *end;
static Node *root;

static Node *value(int depth);

static Node *made(Kind kind) {
  Node *node = calloc(1, sizeof *node);
  if (!node) abort();
  node->kind = kind;
  return node;
}

static void skip(void) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
}

static int taken(char wanted) {
  skip();
  if (at >= end || *at != wanted) return 0;
  at++;
  return 1;
}

static int hex4(uint32_t *code) {
  *code = 0;
  if (end - at < 4) return 0;
  for (int i = 0; i < 4; i++, at++) {
    char c = *at;
    uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                   : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10) : 16;
    if (digit == 16) return 0;
    *code = *code * 16 + digit;
  }
  return 1;
}

static uint32_t utf8(uint32_t code, char *to) {
  if (code < 0x80) { to[0] = (char)code; return 1; }
  uint32_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const uint32_t lead[] = {0, 0xC0, 0xE0, 0xF0};
  to[0] = (char)(lead[more] | code >> 6 * more);
  for (uint32_t i = 1; i <= more; i++) to[i] = (char)(0x80 | ((code >> 6 * (more - i)) & 0x3F));
  return more + 1;
}

/* Reads what follows a backslash; returns how many bytes it makes, or 0 where it is no escape. */
static uint32_t escape(char *to) {
  static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
  if (at >= end) return 0;
  const char *found = *at ? strchr(from, *at) : NULL;
  if (found) { at++; *to = into[found - from]; return 1; }
  uint32_t code, low;
  if (*at++ != 'u' || !hex4(&code)) return 0;
  if (code >= 0xD800 && code < 0xDC00 && end - at >= 2 && at[0] == '\\' && at[1] == 'u') {
    at += 2;
    if (!hex4(&low) || low < 0xDC00 || low > 0xDFFF) return 0;
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  return utf8(code, to);
}

static Node *text(void) {
  Node *node = made(TEXT);
  const char *stop = at;
  while (stop < end && *stop != '"') stop += *stop == '\\' ? 2 : 1;
  node->text = malloc((size_t)(stop - at) + 4);
  if (!node->text) abort();
  while (at < end && *at != '"') {
    if ((unsigned char)*at < 0x20) return NULL;
    if (*at != '\\') {
      node->text[node->length++] = *at++;
      continue;
    }
    at++;
    uint32_t bytes = escape(node->text + node->length);
    if (!bytes) return NULL;
    node->length += bytes;
  }
  return taken('"') ? node : NULL;
}

static Node *token(void) {
  const char *start = at;
  while (at < end && *at && strchr("+-.0123456789aeEflnrstu", *at)) at++;
  if (at == start) return NULL;
  Node *node = made(TOKEN);
  node->length = (uint32_t)(at - start);
  node->text = malloc(node->length);
  if (!node->text) abort();
  memcpy(node->text, start, node->length);
  return node;
}

static Node *member(int depth) {
  Node *name = taken('"') ? text() : NULL;
  if (!name || !taken(':')) return NULL;
  name->first = value(depth);
  return name->first ? name : NULL;
}

static Node *several(Kind kind, char last, int depth) {
  Node *node = made(kind), **to = &node->first;
  if (taken(last)) return node;
  do {
    *to = kind == OBJECT ? member(depth) : value(depth);
    if (!*to) return NULL;
    to = &(*to)->next;
  } while (taken(','));
  return taken(last) ? node : NULL;
}

static Node *value(int depth) {
  if (depth > DEPTH_MAX) return NULL;
  if (taken('{')) return several(OBJECT, '}', depth + 1);
  if (taken('[')) return several(LIST, ']', depth + 1);
  if (taken('"')) return text();
  return token();
}

static int parse(void) {
  uint32_t bytes;
  const char *all = weftrun_object_map(key, 0, -1, &bytes);
  if (!all) return -1;
  at = all;
  end = all + bytes;
  root = value(0);
  skip();
  int ended = at == end;
  weftrun_object_unmap(all);
  return root && ended ? 0 : -2;
}

static uint64_t text_bytes(const Node *node) {
  uint64_t bytes = 2;
  for (uint32_t i = 0; i < node->length; i++) {
    unsigned char c = (unsigned char)node->text[i];
    bytes += c == '"' || c == '\\' || (c && strchr("\b\f\n\r\t", c)) ? 2 : c < 0x20 ? 6 : 1;
  }
  return bytes;
}

static uint64_t written_bytes(const Node *node) {
  if (node->kind == TOKEN) return node->length;
  if (node->kind == TEXT) return text_bytes(node) + (node->first ? 1 + written_bytes(node->first) : 0);
  uint64_t bytes = 2;
  for (const Node *one = node->first; one; one = one->next) bytes += written_bytes(one) + (one->next != NULL);
  return bytes;
}

int main(void) {
  key = weftrun_input(NULL);
  int failed = weftrun_storage_call(key, parse, 0, 0);
  if (failed) {
    fprintf(stderr, failed == -1 ? "no key %s\n" : "%s is no JSON\n", key);
    return 1;
  }
  char said[24];
  weftrun_output(said, (uint32_t)snprintf(said, sizeof said, "%llu", (unsigned long long)written_bytes(root)));
  return 0;
}
