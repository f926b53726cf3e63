/* What the functions of a kernel have in common. */

/* Short sums are written out by the compiler. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Tables of rows of n numbers, read by a token of each replica: number j of its row; and what is added there. */
LIGHT V gather(const V *table, V token, int n, int j) {
  V r;
  for (int l = 0; l < 16; l++) r[l] = table[n * (int)token[l] + j][l];
  return r;
}
LIGHT void scatter(V *table, V token, int n, int j, V x) {
  for (int l = 0; l < 16; l++) table[n * (int)token[l] + j][l] += x[l];
}

/* How far outputs are from their targets, added up in float64, in which a sum of many small numbers stays exact enough. */
typedef double D __attribute__((vector_size(16 * sizeof(double)), aligned(64)));
typedef long long L __attribute__((vector_size(16 * sizeof(double)), aligned(64)));

static inline __attribute__((always_inline)) D error(V out, REAL y, int squared) {
  D d = __builtin_convertvector(out, D) - (double)y;
  return squared ? d * d : (D)((L)d & 0x7fffffffffffffff);
}

/* A function that tests a network, tile by tile, on points that all replicas share. Behind the last point there is room
   for a whole tile. */
#define TEST(K, TILE, INPUTS, OUTPUTS) \
  void test_##K(V *P, const REAL *x, const REAL *y, long points, int squared, V *out, V *S, D *sum) { \
    D total = {}; \
    for (long k = 0; k < points; k += TILE) { \
      predict_##K(P, 0, 0, x + k * INPUTS, 0, 0, out, S, 1); \
      for (long q = 0; q < OUTPUTS * (points - k < TILE ? points - k : TILE); q++) \
        total += error(out[q], y[k * OUTPUTS + q], squared); \
    } \
    *sum = total; \
  }

/* Trains several blocks on the same random numbers, drawn a few steps ahead, while they are at hand.
   size: numbers of a step; P, c, out: state, numbers (so many a step) and losses of each block. */
void train(V *restrict P, const V *restrict X, long own, const REAL *restrict Y, long shared, const REAL *restrict c,
           V *restrict out, V *restrict S, long steps);

int advance(U *words, int position, V *X, long size, long ahead, long blocks, V **P, const REAL **c, V **out,
            long numbers, V *S, long steps) {
  for (long t = 0; t < steps; t += ahead) {
    long now = steps - t < ahead ? steps - t : ahead;
    position = uniform(words, position, X, now * size);
    for (long b = 0; b < blocks; b++) train(P[b], X, size, 0, 0, c[b] + t * numbers, out[b] + t, S, now);
  }
  return position;
}
