/* Sixteen numbers side by side, one of each network, and the functions of them.

   What comes out is the same to the last bit with every compiler, on every processor and in a browser, for in float32
   nothing is used but what IEEE 754 fixes: + - * / and roots, comparisons, bits, whole numbers, conversions that are
   exact or rounded once. No fused multiply-add, no library, no sum across lanes. Only the bits of a NaN may differ.
   Compile with -ffp-contract=off and -fno-math-errno.

   An error in ulp is a multiple of the distance between neighbours among the float32 numbers at the result; results that
   are too small for a normal number are meant, too. Each was measured over numbers of all magnitudes, and 0.5 can't be
   undercut. Polynomials are minimax, by Remez's algorithm in 40 digits; each coefficient was rounded before the next
   were fitted once more.

   Before this file, define SINGLE: 1 is float32; 0 is float64 with the functions of the C library, lane by lane, which
   is there for comparisons only: its last bits are those of the library. */

#if SINGLE
typedef float REAL;
typedef int INT;
#else
typedef double REAL;
typedef long long INT;
#endif
typedef REAL V __attribute__((vector_size(16 * sizeof(REAL)), aligned(64))); /* numbers */
typedef INT N __attribute__((vector_size(16 * sizeof(REAL)), aligned(64)));  /* truth (0 or all bits), or bits */
typedef unsigned U __attribute__((vector_size(64), aligned(64)));            /* words of 32 bits */

/* What takes a few instructions is put in place; the rest is called, which halves the time that compiling takes. */
#define LIGHT static inline __attribute__((always_inline, unused))
#define RARE static __attribute__((noinline, unused))
#ifndef MATH
#define MATH static __attribute__((noinline, unused))
#endif
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wpsabi" /* how gcc hands over vectors that the processor lacks; all is in one file */
#endif

#if SINGLE
#define ABSOLUTE 0x7fffffff
#define INFINITE __builtin_inff()
#define NOTHING __builtin_nanf("")
#define WHOLE 8388608.0f /* 2^23: from here on every number is whole */
#else
#define ABSOLUTE 0x7fffffffffffffff
#define INFINITE __builtin_inf()
#define NOTHING __builtin_nan("")
#define WHOLE 4503599627370496.0 /* 2^52 */
#endif

/* One number in all lanes. Minus zero, for x + 0 would make zero of -0. */
LIGHT V all(REAL x) { return x - (V){}; }
LIGHT N bits(INT x) { return x | (N){}; }
/* m ? a : b */
LIGHT V sel(N m, V a, V b) { return (V)((m & (N)a) | (~m & (N)b)); }
/* 1 where true, else 0 */
LIGHT V number(N m) { return (V)(m & (N)all(1)); }

/* Is it true in any lane? To branch on the answer changes no bits where both ways give the same. */
#ifdef __clang__
LIGHT int any(N m) { return __builtin_reduce_or(m) != 0; }
#else
LIGHT int any(N m) {
  INT r = 0;
  for (int l = 0; l < 16; l++) r |= m[l];
  return r != 0;
}
#endif

/* Exact or rounded once: these have no error beyond that of the operation. */
LIGHT V vabs(V x) { return (V)((N)x & ABSOLUTE); }
LIGHT V vneg(V x) { return -x; }
LIGHT V with_sign(V x, V y) { return (V)((N)x | ((N)y & ~bits(ABSOLUTE))); } /* of y, for x without a sign */
LIGHT V vsign(V x) { return number(x > all(0)) - number(x < all(0)); }       /* 0 for -0 and for NaN, as in torch */
/* NaN if either is; b of two zeros. */
LIGHT V vmin(V a, V b) { return sel(a == a, sel(a < b, a, b), a); }
LIGHT V vmax(V a, V b) { return sel(a == a, sel(a > b, a, b), a); }
/* NaN and -0 stay what they are. */
LIGHT V at_least(V x, V low) { return sel(x < low, low, x); }
LIGHT V at_most(V x, V high) { return sel(x > high, high, x); }
LIGHT V vclamp(V x, V low, V high) { return at_most(at_least(x, low), high); }
LIGHT V vrelu(V x) { return at_least(x, all(0)); }
/* Half to even: beside 2^23 there is no room for a fraction. */
LIGHT V vround(V x) {
  V a = vabs(x);
  return sel(a < all(WHOLE), with_sign((a + WHOLE) - WHOLE, x), x);
}
LIGHT V vfloor(V x) {
  V r = vround(x);
  return r - number(r > x);
}
LIGHT V vceil(V x) { return -vfloor(-x); }
LIGHT V vtrunc(V x) { return with_sign(vfloor(vabs(x)), x); }
#ifdef __clang__
LIGHT V vsqrt(V x) { return __builtin_elementwise_sqrt(x); }
#else
LIGHT V vsqrt(V x) {
  for (int l = 0; l < 16; l++) x[l] = SINGLE ? __builtin_sqrtf(x[l]) : __builtin_sqrt(x[l]);
  return x;
}
#endif
LIGHT V vrsqrt(V x) { return 1 / vsqrt(x); }

#if SINGLE

/* Exponentials: x = n log(2) + r with n whole, so e^x = 2^n e^r. Adding 1.5 * 2^23 rounds to whole numbers and leaves n
   in the lowest bits; the constant may carry what is to be added to n as the exponent of a float. */
#define ROUNDER 12582912.0f
#define LOG2E 1.44269504f
#define LN2_HIGH 0.693145752f /* log(2) to 15 bits, so that n times it is exact; it is the smaller, which keeps -0 */
#define LN2_LOW 1.42860677e-6f

/* e^r - 1 for |r| <= log(2) / 2, relative error 2^-26 */
LIGHT V growth(V r) {
  V p = (((1.3835693e-3f * r + 8.367123e-3f) * r + 0.041667756f) * r + 0.16666539f) * r + 0.49999997f;
  return p * (r * r) + r;
}
/* p 2^(n - 254) where the lowest nine bits of t are n. In two steps: the first is exact, the second rounds once, to a
   number below the normal ones if need be, or to infinity. */
LIGHT V scaled(V p, V t) {
  U half = ((U)t >> 1) << 23, rest = ((U)t << 23) - half;
  return p * (V)half * (V)rest;
}
MATH V vexp(V x) {
  V c = at_most(at_least(x, all(-104)), all(89)); /* beyond, it is 0 or infinity as here */
  V t = c * LOG2E + (ROUNDER + 254), n = t - (ROUNDER + 254);
  V r = (c - n * LN2_HIGH) - n * LN2_LOW;
  return scaled(growth(r) + 1, t);
}
/* Exact for whole x: r is 0. */
MATH V vexp2(V x) {
  V c = at_most(at_least(x, all(-151)), all(129));
  V t = c + (ROUNDER + 254), r = c - (t - (ROUNDER + 254));
  V p = ((((1.3332501e-4f * r + 1.3387927e-3f) * r + 9.625445e-3f) * r + 0.055503663f) * r + 0.24022594f) * r;
  return scaled((p + 0.6931472f) * r + 1, t);
}
/* 2^n (e^r - 1) + (2^n - 1); halves, for 2^128 is no float. */
MATH V vexpm1(V x) {
  V c = at_most(at_least(x, all(-30)), all(89));
  V t = c * LOG2E + (ROUNDER + 126), n = t - (ROUNDER + 126);
  V p = growth((c - n * LN2_HIGH) - n * LN2_LOW), s = (V)((U)t << 23);
  V r = s * p + (s - 0.5f);
  return with_sign(sel(n == all(0), p, r + r), x); /* half of a tiny number may not be exact; -0 */
}
/* e / (1 + e) or 1 / (1 + e) with e = e^-|x|, all times 2^64, so that 2^n is always a normal number. */
MATH V vsigmoid(V x) {
  V c = at_least(-vabs(x), all(-104));
  V t = c * LOG2E + (ROUNDER + 191), n = t - (ROUNDER + 191);
  V e = (growth((c - n * LN2_HIGH) - n * LN2_LOW) + 1) * (V)((U)t << 23);
  return sel(x < all(0), e, all(0x1p64f)) / (e + 0x1p64f);
}
/* -E / (E + 2) with E = e^(-2|x|) - 1, and the sign of x */
MATH V vtanh(V x) {
  V c = at_least(-2 * vabs(x), all(-20));
  V t = c * LOG2E + (ROUNDER + 127), n = t - (ROUNDER + 127);
  V p = growth((c - n * LN2_HIGH) - n * LN2_LOW), s = (V)((U)t << 23);
  V e = s * p + (s - 1);
  return with_sign(vabs(e / (e + 2)), x);
}

/* Logarithms: x = 2^k m with 0.7 < m < 1.4, so log(x) = k log(2) + log(m), and near x = 1 nothing cancels. */
#define SPLIT 0x3f330000u /* the bits of 0.699 */
LIGHT N exponent(V x) { return (N)((U)x - SPLIT) >> 23; }
LIGHT V mantissa(V x, N k) { return (V)((U)x - ((U)k << 23)); }
LIGHT V real(N k) { return __builtin_convertvector(k, V); }
/* Zero, infinity, NaN, what is negative or below the normal numbers: two comparisons in one. */
LIGHT N special(V x) { return (N)((U)x + 0x7f800000u) >= bits(-0x01000000); }
/* log(1 + r) - r for 0.7 < 1 + r < 1.4; relative to log(1 + r) the error is 2^-25 */
LIGHT V bend(V r) {
  V p = (((0.09625852f * r - 0.14681773f) * r + 0.14799595f) * r - 0.1651923f) * r + 0.19966719f;
  return (((p * r - 0.25003666f) * r + 0.33333898f) * r - 0.49999976f) * (r * r);
}
LIGHT V log_normal(V x) {
  N k = exponent(x);
  V e = real(k), r = mantissa(x, k) - 1;
  return e * LN2_HIGH + (r + (bend(r) + e * LN2_LOW));
}
LIGHT V log2_normal(V x) {
  N k = exponent(x);
  V r = mantissa(x, k) - 1;
  return real(k) + (r + (r * 0.442695041f + bend(r) * LOG2E)); /* exact where r is 0 */
}
/* A logarithm y of x, or of 2^23 x where x is below the normal numbers, becomes right for all x. */
LIGHT V small(V x) { return sel(x < all(0x1p-126f), x * 0x1p23f, x); }
LIGHT V log_special(V x, V y) {
  y = sel(x == all(0), all(-INFINITE), sel(x < all(0), all(NOTHING), y));
  return sel(x < all(INFINITE), y, x);
}
RARE V log_any(V x) {
  V y = log_normal(small(x));
  return log_special(x, sel(x < all(0x1p-126f), y - 15.9423847f, y));
}
RARE V log2_any(V x) {
  V y = log2_normal(small(x));
  return log_special(x, sel(x < all(0x1p-126f), y - 23, y));
}
MATH V vlog(V x) { return any(special(x)) ? log_any(x) : log_normal(x); }
MATH V vlog2(V x) { return any(special(x)) ? log2_any(x) : log2_normal(x); }
/* As log, but r is 2^-k x + (2^-k - 1), which rounds once; 1 + x itself only tells k. */
LIGHT V log1p_normal(V x) {
  N k = exponent(1 + x);
  V s = (V)(0x3f800000u - ((U)k << 23)), e = real(k), r = x * s + (s - 1);
  return with_sign(e * LN2_HIGH + (r + (bend(r) + e * LN2_LOW)), x); /* -0 */
}
RARE V log1p_any(V x) {
  V y = sel(x < all(0x1p100f), log1p_normal(x), log_any(x));
  y = sel(x == all(-1), all(-INFINITE), sel(x < all(-1), all(NOTHING), y));
  return sel(x == x, y, x);
}
MATH V vlog1p(V x) { return any(~((x > all(-1)) & (x < all(0x1p100f)))) ? log1p_any(x) : log1p_normal(x); }

/* Powers: 2^(y log2(x)) in double lanes, for an error of log(x) is multiplied by up to 150 in the result. */
typedef double D __attribute__((vector_size(128), aligned(64)));
typedef unsigned long long B __attribute__((vector_size(128), aligned(64)));
LIGHT D wide(V x) { return __builtin_convertvector(x, D); }
/* log2(m) = 2 atanh(s) / log(2) with s = (m - 1) / (m + 1), relative error 2^-37 */
LIGHT D log2_wide(V x) {
  N k = exponent(x);
  D m = wide(mantissa(x, k)), s = (m - 1) / (m + 1), z = s * s;
  D p = ((0.34208311287599247 * z + 0.4116007536154397) * z + 0.5770847572023488) * z + 0.9617966673986322;
  return (p * z + 2.8853900817946085) * s + __builtin_convertvector(k, D);
}
/* 2^t, relative error 2^-28.5; 0 below -150, infinity from 128 on */
LIGHT V exp2_wide(D t) {
  B low = (B)(t < -200), high = (B)(t > 200);
  t = (D)(((B)t & ~(low | high)) | (low & (B)((D){} - 200)) | (high & (B)((D){} + 200)));
  D w = t + (0x1.8p52 + 1023), r = t - (w - (0x1.8p52 + 1023));
  D p = (1.5594704776141673e-4 * r + 1.3406657801953079e-3) * r + 9.617692820013716e-3;
  p = (((p * r + 0.05550310513183022) * r + 0.24022652784189108) * r + 0.6931472149871136) * r + 1;
  return __builtin_convertvector(p * (D)((B)w << 52), V);
}
RARE V pow_any(V x, V y) {
  V a = vabs(x), b = sel(a < all(0x1p-126f), a * 0x1p23f, a);
  V more = sel(a < all(0x1p-126f), all(-23), all(0));
  more = sel(a == all(0), all(-INFINITE), sel(a == all(INFINITE), a, more));
  V p = exp2_wide(wide(y) * (log2_wide(b) + wide(more)));
  p = sel(a == all(1), all(1), p); /* 1 to the power of infinity */
  N whole = vfloor(y) == y, odd = whole & (vfloor(y * 0.5f) != y * 0.5f);
  p = (V)((N)p | (odd & (N)x & ~bits(ABSOLUTE)));
  p = sel((x < all(0)) & ~whole & (a < all(INFINITE)), all(NOTHING), p);
  p = sel((x == x) & (y == y), p, all(NOTHING));
  return sel((x == all(1)) | (y == all(0)), all(1), p);
}
MATH V vpow(V x, V y) {
  if (any(special(x) | ~(vabs(y) < all(INFINITE)))) return pow_any(x, y);
  return exp2_wide(wide(y) * log2_wide(x));
}

/* Sine and cosine: |x| = n pi/2 + r with |r| <= pi/4, and n mod 4 tells which of the two, and its sign. */
#define PI_2_HIGH 1.5707963267341256 /* to 33 bits, so that n times it is exact in double lanes */
#define PI_2_LOW 6.077100506506192e-11
LIGHT V quarter(V r, U q) { /* sin(r + q pi/2) */
  V z = r * r;
  V s = ((-1.9505146e-4f * z + 8.332093e-3f) * z - 0.16666654f) * (z * r) + r;
  V c = ((2.4412086e-5f * z - 1.388713e-3f) * z + 0.04166664f) * (z * z) + (1 - 0.5f * z);
  return (V)((U)sel((N)(q << 31) < bits(0), c, s) ^ ((q & 2) << 30));
}
/* For any |x| >= 2^17: 96 of the binary digits of 2/pi times the mantissa, without whole turns. */
static const unsigned two_over_pi[8] = {0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};
RARE V turn_any(V x, unsigned add) {
  typedef unsigned long long L;
  V a = vabs(x), r = x;
  U q = (U){};
  for (int l = 0; l < 16; l++) {
    unsigned word = ((U)a)[l], first = (word >> 23) - 120;
    if (word < 0x48000000u) { /* 2^17: as below */
      float t = a[l] * 0.636619772f + ROUNDER, n = t - ROUNDER;
      r[l] = (float)((a[l] - (double)n * PI_2_HIGH) - n * PI_2_LOW);
      q[l] = (unsigned)n;
    } else if (word >= 0x7f800000u) {
      r[l] = NOTHING;
    } else {
      L digits[3], m = (word & 0x7fffff) | 0x800000;
      for (unsigned i = 0; i < 3; i++) {
        unsigned at = first + 32 * i;
        digits[i] = ((((L)two_over_pi[at / 32] << 32) | two_over_pi[at / 32 + 1]) << at % 32) >> 32;
      }
      L turns = m * (digits[0] << 32 | digits[1]) + (m * digits[2] >> 32); /* in units of 2^-62 quarters */
      q[l] = (unsigned)((turns + (1ull << 61)) >> 62);
      r[l] = (float)((double)(long long)(turns - ((L)q[l] << 62)) * (0x1p-62 * 1.5707963267948966));
    }
  }
  return quarter(r, q + add);
}
LIGHT V turn(V x, unsigned add) {
  V a = vabs(x), t = a * 0.636619772f + ROUNDER;
  if (any(~(a < all(131072)))) return turn_any(x, add);
  D n = wide(t - ROUNDER);
  return quarter(__builtin_convertvector((wide(a) - n * PI_2_HIGH) - n * PI_2_LOW, V), (U)t + add);
}
MATH V vsin(V x) { return (V)((N)turn(x, 0) ^ ((N)x & ~bits(ABSOLUTE))); }
MATH V vcos(V x) { return turn(x, 1); }

#else

double exp(double), log(double), exp2(double), log2(double), log1p(double), expm1(double), tanh(double), sin(double),
    cos(double), pow(double, double);
#define EACH(f) \
  MATH V v##f(V x) { \
    for (int l = 0; l < 16; l++) x[l] = f(x[l]); \
    return x; \
  }
EACH(exp) EACH(log) EACH(exp2) EACH(log2) EACH(log1p) EACH(expm1) EACH(tanh) EACH(sin) EACH(cos)
MATH V vsigmoid(V x) { return 1 / (1 + vexp(-x)); }
MATH V vpow(V x, V y) {
  for (int l = 0; l < 16; l++) x[l] = pow(x[l], y[l]);
  return x;
}

#endif
