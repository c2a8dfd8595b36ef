/* Runs an exported function on calls from a file; see native_runs.py for the files.
 *
 *     driver WEIGHTS CALLS ANSWERS [one]
 *
 * Compile with -DNAME=… and the exported header's folder in the path. Unless "one" is given, tasks
 * are cut into uneven ranges, as threads would. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define QUOTE_(a) #a
#define QUOTE(a) QUOTE_(a)
#include QUOTE(HEADER)

static void fail(const char *what) {
  fprintf(stderr, "driver: %s\n", what);
  exit(2);
}

static void *aligned(int64_t bytes) {
  int64_t rounded = (bytes + 127) / 64 * 64;
  void *found = aligned_alloc(64, (size_t)rounded);
  if (!found) fail("no memory");
  memset(found, 0xA5, (size_t)rounded); /* what is not written must not matter */
  return found;
}

static int64_t number(FILE *file) {
  int64_t found;
  if (fread(&found, 8, 1, file) != 1) fail("the calls are cut off");
  return found;
}

static void in_pieces(void *pool, void (*task)(void *, int64_t, int64_t), void *slots,
                      int64_t tasks) {
  int64_t step = *(int64_t *)pool;
  for (int64_t end = tasks; end > 0; end -= step)
    task(slots, end > step ? end - step : 0, end);
}

int main(int count, char **arguments) {
  if (count < 4) fail("three files are needed");
  void *weights = NULL;
  int64_t weights_bytes = 0;
  FILE *file = fopen(arguments[1], "rb");
  if (file) {
    fseek(file, 0, SEEK_END);
    weights_bytes = ftell(file);
    rewind(file);
    weights = aligned(weights_bytes);
    if (fread(weights, 1, (size_t)weights_bytes, file) != (size_t)weights_bytes) fail("weights");
    fclose(file);
  }
  FILE *calls = fopen(arguments[2], "rb"), *answers = fopen(arguments[3], "wb");
  if (!calls || !answers) fail("a file cannot be opened");
  int64_t step = 3;
  PASTE(NAME, _threads) threads = {in_pieces, &step};
  for (int64_t left = number(calls); left > 0; left--) {
    int64_t sizes[64];
    static int64_t bytes[4096];
    static void *inputs[4096], *results[4096];
    int64_t dims = number(calls);
    for (int64_t i = 0; i < dims; i++) sizes[i] = number(calls);
    int64_t n = number(calls);
    for (int64_t i = 0; i < n; i++) {
      int64_t size = number(calls);
      inputs[i] = aligned(size);
      if (size && fread(inputs[i], (size_t)size, 1, calls) != 1) fail("an input is cut off");
    }
    int64_t m = number(calls);
    for (int64_t i = 0; i < m; i++) results[i] = aligned(bytes[i] = number(calls));
    int64_t needed = PASTE(NAME, _arena_bytes)((void *)sizes);
    void *arena = needed > 0 ? aligned(needed) : NULL;
    int status = needed < 0 ? (int)-needed
                            : PASTE(NAME, _run)((void *)sizes, (void *)inputs, (void *)results,
                                                weights, weights_bytes, arena, needed,
                                                count > 4 ? NULL : &threads);
    int64_t wide = status;
    fwrite(&wide, 8, 1, answers);
    for (int64_t i = 0; i < m; i++) fwrite(results[i], 1, (size_t)bytes[i], answers);
    for (int64_t i = 0; i < n; i++) free(inputs[i]);
    for (int64_t i = 0; i < m; i++) free(results[i]);
    free(arena);
  }
  fwrite(weights, 1, (size_t)weights_bytes, answers);
  if (fclose(answers)) fail("the answers cannot be written");
  return 0;
}
