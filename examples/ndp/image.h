/* Images: PNG (8 bits a channel, not interlaced; ISO/IEC 15948) into RGBA, smaller by four, and back into PNG. */
#include <stdio.h>
#include "inflate.h"
#include "words.h"

typedef struct {
  uint32_t width, height;
  unsigned char *pixels; /* RGBA */
} Image;

typedef struct {
  uint32_t kind, channels, packed_bytes, colours;
  unsigned char *packed, palette[256 * 4];
} Png;

static inline void *room(size_t bytes) {
  void *made = calloc(1, bytes ? bytes : 1);
  if (!made) abort();
  return made;
}

/* Gives memory back, as zeros: so it does not travel. */
static inline void forget(void *at, size_t bytes) {
  explicit_bzero(at, bytes);
  free(at);
}

static inline uint32_t number_at(const unsigned char *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void add_colours(Png *png, const unsigned char *data, uint32_t bytes) {
  png->colours = bytes / 3 < 256 ? bytes / 3 : 256;
  for (uint32_t i = 0; i < png->colours; i++) {
    memcpy(png->palette + 4 * i, data + 3 * i, 3);
    png->palette[4 * i + 3] = 255;
  }
}

/* Reads the chunks of a file; returns 0, or -1 where it is no PNG of a kind that is known here. */
static int read_chunks(const unsigned char *file, uint32_t bytes, Image *image, Png *png) {
  static const unsigned char channels[7] = {1, 0, 3, 1, 2, 0, 4};
  if (bytes < 8 || memcmp(file, "\x89PNG\r\n\x1a\n", 8)) return -1;
  png->packed = room(bytes);
  for (uint32_t at = 8; bytes - at >= 12;) {
    uint32_t length = number_at(file + at);
    const unsigned char *name = file + at + 4, *data = name + 4;
    if (length > bytes - at - 12) return -1;
    if (!memcmp(name, "IHDR", 4) && length == 13) {
      image->width = number_at(data);
      image->height = number_at(data + 4);
      png->kind = data[9];
      if (data[8] != 8 || data[9] > 6 || !channels[data[9]] || data[12]) return -1;
      png->channels = channels[data[9]];
    } else if (!memcmp(name, "PLTE", 4)) {
      add_colours(png, data, length);
    } else if (!memcmp(name, "tRNS", 4) && png->kind == 3) {
      for (uint32_t i = 0; i < length && i < png->colours; i++) png->palette[4 * i + 3] = data[i];
    } else if (!memcmp(name, "IDAT", 4)) {
      memcpy(png->packed + png->packed_bytes, data, length);
      png->packed_bytes += length;
    }
    at += length + 12;
  }
  uint64_t pixels = (uint64_t)image->width * image->height;
  return png->channels && pixels && pixels < 1 << 25 ? 0 : -1;
}

static unsigned char nearest(int left, int up, int corner) {
  int guess = left + up - corner, a = abs(guess - left), b = abs(guess - up), c = abs(guess - corner);
  return (unsigned char)(a <= b && a <= c ? left : b <= c ? up : corner);
}

/* Undoes the filter of each line, in place. */
static int unfilter(unsigned char *lines, uint32_t stride, uint32_t height, uint32_t step) {
  for (uint32_t y = 0; y < height; y++) {
    unsigned char *line = lines + (size_t)y * (stride + 1) + 1, filter = line[-1];
    const unsigned char *above = y ? line - stride - 1 : NULL;
    if (filter > 4) return -1;
    for (uint32_t x = 0; x < stride; x++) {
      int left = x >= step ? line[x - step] : 0, up = above ? above[x] : 0;
      int corner = above && x >= step ? above[x - step] : 0;
      int add = filter == 1 ? left : filter == 2 ? up : filter == 3 ? (left + up) / 2
              : filter == 4 ? nearest(left, up, corner) : 0;
      line[x] = (unsigned char)(line[x] + add);
    }
  }
  return 0;
}

static void to_rgba(const Png *png, const unsigned char *from, unsigned char *to) {
  if (png->kind == 3) {
    memcpy(to, png->palette + 4 * from[0], 4);
    return;
  }
  int is_grey = png->kind == 0 || png->kind == 4;
  for (int i = 0; i < 3; i++) to[i] = is_grey ? from[0] : from[i];
  to[3] = png->kind == 4 ? from[1] : png->kind == 6 ? from[3] : 255;
}

static inline int decode(const unsigned char *file, uint32_t bytes, Image *image) {
  static Png png;
  memset(&png, 0, sizeof png);
  if (read_chunks(file, bytes, image, &png)) return -1;
  uint32_t stride = image->width * png.channels, size = (stride + 1) * image->height;
  unsigned char *lines = room(size);
  int failed = inflate(png.packed, png.packed_bytes, lines, size) != size
            || unfilter(lines, stride, image->height, png.channels);
  if (!failed) {
    image->pixels = room((size_t)image->width * image->height * 4);
    for (uint32_t y = 0; y < image->height; y++)
      for (uint32_t x = 0; x < image->width; x++)
        to_rgba(&png, lines + (size_t)y * (stride + 1) + 1 + x * png.channels,
                image->pixels + ((size_t)y * image->width + x) * 4);
  }
  forget(lines, size);
  forget(png.packed, bytes);
  explicit_bzero(&png, sizeof png);
  return failed ? -1 : 0;
}

/* Makes an image smaller by four in both directions: each pixel is the mean of up to sixteen. */
static inline void shrink(Image *image) {
  uint32_t width = (image->width + 3) / 4, height = (image->height + 3) / 4;
  unsigned char *small = room((size_t)width * height * 4);
  for (uint32_t y = 0; y < height; y++)
    for (uint32_t x = 0; x < width; x++) {
      uint32_t sums[4] = {0}, n = 0;
      for (uint32_t v = 4 * y; v < 4 * y + 4 && v < image->height; v++)
        for (uint32_t u = 4 * x; u < 4 * x + 4 && u < image->width; u++, n++)
          for (int i = 0; i < 4; i++) sums[i] += image->pixels[((size_t)v * image->width + u) * 4 + i];
      for (int i = 0; i < 4; i++) small[((size_t)y * width + x) * 4 + i] = (unsigned char)(sums[i] / n);
    }
  forget(image->pixels, (size_t)image->width * image->height * 4);
  *image = (Image){width, height, small};
}

static uint32_t crc_of(const unsigned char *data, size_t bytes) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < bytes; i++) {
    crc ^= data[i];
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

static void put_number(unsigned char *at, uint32_t number) {
  for (int i = 0; i < 4; i++) at[i] = (unsigned char)(number >> 8 * (3 - i));
}

static void add_chunk(const char *name, unsigned char *chunk, uint32_t length) {
  put_number(chunk, length);
  memcpy(chunk + 4, name, 4);
  put_number(chunk + 8 + length, crc_of(chunk + 4, (size_t)length + 4));
  weftrun_output_add(chunk, length + 12);
}

/* Adds the image to the output, as a PNG that is not packed. */
static inline void encode(const Image *image) {
  uint32_t stride = image->width * 4 + 1, size = stride * image->height, blocks = size / 65535 + 1;
  unsigned char *lines = room(size), *chunk = room((size_t)size + blocks * 5 + 64), *to = chunk + 10;
  for (uint32_t y = 0; y < image->height; y++)
    memcpy(lines + (size_t)y * stride + 1, image->pixels + (size_t)y * (stride - 1), stride - 1);
  weftrun_output_add("\x89PNG\r\n\x1a\n", 8);
  put_number(chunk + 8, image->width);
  put_number(chunk + 12, image->height);
  memcpy(chunk + 16, "\x08\x06\0\0\0", 5);
  add_chunk("IHDR", chunk, 13);
  memcpy(chunk + 8, "\x78\x01", 2);
  uint32_t a = 1, b = 0;
  for (uint32_t at = 0, i = 0; i < blocks; i++) {
    uint32_t length = size - at < 65535 ? size - at : 65535;
    unsigned char head[5] = {i + 1 == blocks, (unsigned char)length, (unsigned char)(length >> 8),
                             (unsigned char)~length, (unsigned char)(~length >> 8)};
    memcpy(to, head, 5);
    memcpy(to + 5, lines + at, length);
    to += 5 + length;
    at += length;
  }
  for (uint32_t i = 0; i < size; i++) {
    a = (a + lines[i]) % 65521;
    b = (b + a) % 65521;
  }
  put_number(to, b << 16 | a);
  add_chunk("IDAT", chunk, (uint32_t)(to + 4 - (chunk + 8)));
  add_chunk("IEND", chunk, 0);
}
