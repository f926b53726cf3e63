/* What the functions of a kernel have in common. */

/* Short sums are written out by the compiler. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Sixteen numbers that all replicas share, wherever they lie. */
typedef REAL ANYWHERE __attribute__((vector_size(16 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
LIGHT V load(const REAL *x) { return *(const ANYWHERE *)x; }
LIGHT void store(REAL *x, V v) { *(ANYWHERE *)x = v; }

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

/* Batches taken from a pool of rows that all replicas share: for each step and place in its batch the row that each lane
   has drawn. From one step to the next it is `stride` numbers. */
void take(const U *rows, long steps, long batch, const REAL *pool, int width, V *out, long stride) {
  for (long t = 0; t < steps; t++)
    for (long b = 0; b < batch; b++)
      for (int j = 0; j < width; j++)
        for (int l = 0; l < 16; l++) out[t * stride + b * width + j][l] = pool[(long)rows[t * batch + b][l] * width + j];
}
