/* Unpacks what is packed by DEFLATE (RFC 1951), as it stands in PNG. */
#include <stdint.h>
#include <string.h>

typedef struct {
  const unsigned char *from, *from_end;
  unsigned char *to;
  uint32_t made, room, bits, count;
  int failed;
} Inflating;

/* A code by its lengths: how many codes have each length, and the symbols in the order of their codes. */
typedef struct {
  uint16_t counts[16], symbols[288];
} Codes;

static uint32_t bits_of(Inflating *in, uint32_t wanted) {
  while (in->count < wanted) {
    if (in->from >= in->from_end) {
      in->failed = 1;
      return 0;
    }
    in->bits |= (uint32_t)*in->from++ << in->count;
    in->count += 8;
  }
  uint32_t value = in->bits & ((1u << wanted) - 1);
  in->bits >>= wanted;
  in->count -= wanted;
  return value;
}

static void set_codes(Codes *codes, const unsigned char *lengths, uint32_t n) {
  uint16_t first[16];
  memset(codes->counts, 0, sizeof codes->counts);
  for (uint32_t i = 0; i < n; i++) codes->counts[lengths[i]]++;
  codes->counts[0] = 0;
  first[1] = 0;
  for (uint32_t i = 1; i < 15; i++) first[i + 1] = (uint16_t)(first[i] + codes->counts[i]);
  for (uint32_t i = 0; i < n; i++)
    if (lengths[i]) codes->symbols[first[lengths[i]]++] = (uint16_t)i;
}

static uint32_t symbol_of(Inflating *in, const Codes *codes) {
  int32_t code = 0, first = 0, index = 0;
  for (uint32_t length = 1; length < 16 && !in->failed; length++) {
    code |= (int32_t)bits_of(in, 1);
    int32_t count = codes->counts[length];
    if (code - count < first) return codes->symbols[index + code - first];
    index += count;
    first = (first + count) << 1;
    code <<= 1;
  }
  in->failed = 1;
  return 0;
}

static void stored(Inflating *in) {
  in->bits = in->count = 0;
  if (in->from_end - in->from < 4) {
    in->failed = 1;
    return;
  }
  uint32_t length = in->from[0] | (uint32_t)in->from[1] << 8;
  in->from += 4;
  if (length > in->from_end - in->from || length > in->room - in->made) {
    in->failed = 1;
    return;
  }
  memcpy(in->to + in->made, in->from, length);
  in->from += length;
  in->made += length;
}

static void packed(Inflating *in, const Codes *lengths, const Codes *distances) {
  for (;;) {
    uint32_t symbol = symbol_of(in, lengths);
    if (in->failed || symbol == 256) return;
    if (symbol < 256) {
      if (in->made == in->room) break;
      in->to[in->made++] = (unsigned char)symbol;
      continue;
    }
    /* Lengths go up in steps that double every fourth symbol, distances every second one. */
    uint32_t n = symbol - 257, extra = n < 8 || n == 28 ? 0 : n / 4 - 1;
    uint32_t length = n == 28 ? 258 : n < 8 ? n + 3 : ((4 + n % 4) << extra) + 3;
    length += bits_of(in, extra);
    uint32_t d = symbol_of(in, distances), more = d < 4 ? 0 : d / 2 - 1;
    uint32_t distance = (d < 4 ? d : (2 + d % 2) << more) + 1 + bits_of(in, more);
    if (in->failed || n > 28 || d > 29 || distance > in->made || length > in->room - in->made) break;
    for (uint32_t i = 0; i < length; i++, in->made++) in->to[in->made] = in->to[in->made - distance];
  }
  in->failed = 1;
}

static void read_codes(Inflating *in, Codes *lengths, Codes *distances) {
  static const unsigned char order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  unsigned char all[320] = {0};
  uint32_t literal = bits_of(in, 5) + 257, distance = bits_of(in, 5) + 1, given = bits_of(in, 4) + 4, n = 0;
  for (uint32_t i = 0; i < given; i++) all[order[i]] = (unsigned char)bits_of(in, 3);
  set_codes(lengths, all, 19);
  memset(all, 0, sizeof all);
  while (n < literal + distance && !in->failed) {
    uint32_t symbol = symbol_of(in, lengths), repeats = 1;
    unsigned char what = 0;
    if (symbol < 16) what = (unsigned char)symbol;
    else if (symbol == 16) { what = n ? all[n - 1] : 0; repeats = 3 + bits_of(in, 2); }
    else repeats = symbol == 17 ? 3 + bits_of(in, 3) : 11 + bits_of(in, 7);
    if (n + repeats > literal + distance) in->failed = 1;
    else while (repeats--) all[n++] = what;
  }
  if (literal > 286) in->failed = 1;
  if (in->failed) return;
  set_codes(lengths, all, literal);
  set_codes(distances, all + literal, distance);
}

static void fixed_codes(Codes *lengths, Codes *distances) {
  unsigned char all[288];
  for (uint32_t i = 0; i < 288; i++) all[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
  set_codes(lengths, all, 288);
  memset(all, 5, 30);
  set_codes(distances, all, 30);
}

/* Unpacks a zlib stream into `room` bytes; returns how many they are, or -1 where it is none or too long. */
static inline int64_t inflate(const unsigned char *from, uint32_t bytes, unsigned char *to, uint32_t room) {
  Inflating in = {from + 2, from + bytes, to, 0, room, 0, 0, bytes < 2 || (from[0] & 15) != 8};
  Codes lengths, distances;
  for (int last = 0; !last && !in.failed;) {
    last = (int)bits_of(&in, 1);
    uint32_t kind = bits_of(&in, 2);
    if (kind == 0) {
      stored(&in);
      continue;
    }
    if (kind == 1) fixed_codes(&lengths, &distances);
    else if (kind == 2) read_codes(&in, &lengths, &distances);
    else in.failed = 1;
    if (!in.failed) packed(&in, &lengths, &distances);
  }
  return in.failed ? -1 : (int64_t)in.made;
}
