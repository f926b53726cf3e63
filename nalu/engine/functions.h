/* Sixteen numbers side by side, one of each network, and the functions of them.

   What comes out is the same to the last bit with every compiler, on every processor and in a browser, for in float32
   nothing is used but what IEEE 754 fixes: + - * / and roots, comparisons, bits, whole numbers, conversions that are
   exact or rounded once. No fused multiply-add, no library, no sum across lanes. Only the bits of a NaN may differ.
   Compile with -ffp-contract=off and -fno-math-errno.

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

/* What takes a few instructions is put in place. The rest is called, which halves the time that compiling takes; define
   MATH as LIGHT to have it in place, too. RARE is for numbers that few trainings meet. */
#define LIGHT static inline __attribute__((always_inline, unused))
#define RARE static __attribute__((noinline, unused))
#ifndef MATH
#define MATH static __attribute__((noinline, unused))
#endif
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wpsabi" /* how gcc hands over vectors that a processor lacks; all is in one file */
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

/* One number in all lanes. Not x + 0, which makes 0 of -0. */
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
/* x with the sign of y, which x may have already or lack. */
LIGHT V with_sign(V x, V y) { return (V)((N)x | ((N)y & ~bits(ABSOLUTE))); }
/* 0 for -0 and for NaN, as in torch. */
LIGHT V vsign(V x) { return number(x > all(0)) - number(x < all(0)); }
/* NaN if either is; b of two zeros. */
LIGHT V vmin(V a, V b) { return sel(a == a, sel(a < b, a, b), a); }
LIGHT V vmax(V a, V b) { return sel(a == a, sel(a > b, a, b), a); }
/* NaN and -0 stay what they are. */
LIGHT V at_least(V x, V low) { return sel(x < low, low, x); }
LIGHT V at_most(V x, V high) { return sel(x > high, high, x); }
LIGHT V vclamp(V x, V low, V high) { return at_most(at_least(x, low), high); }
LIGHT V vrelu(V x) { return at_least(x, all(0)); }
/* Half to even: added to 2^23, a number has no room for a fraction. */
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
/* vsqrt: 0.50 ulp; vrsqrt: 1.50 ulp */
LIGHT V vrsqrt(V x) { return 1 / vsqrt(x); }

#if SINGLE

/* Functions of our own. How many ulp each is off at most is said beside it; an ulp is the distance between neighbours
   among the float32 numbers at the result, where 0.50 is the best possible. Each float32 number there is was tried (for
   powers: a hundred million pairs), those too small to have all digits as well: none is taken for zero.

   Polynomials were fitted by Remez's algorithm with 40 digits, for the least of all largest relative errors of the
   function, and then rounded. They are added up in pairs, as (a + b r) + (c + d r) r^2: no more operations than with
   one factor after another, but fewer that wait for each other. */

/* Exponentials: x = n log(2) + r with n whole, so e^x = 2^n e^r. Adding 1.5 * 2^23 rounds to whole numbers and leaves n
   in the lowest bits; the constant may carry what is to be added to n as the exponent of a float. */
#define ROUNDER 12582912.0f
#define LOG2E 1.44269504f
#define LN2_HIGH 0.693145752f /* log(2) to 15 bits, so that n times it is exact */
#define LN2_LOW 1.42860677e-6f

/* e^r - 1 for |r| <= log(2) / 2, relative error 2^-26 */
LIGHT V growth(V r) {
  V s = r * r, high = 1.3835693e-3f * s + (8.367123e-3f * r + 0.041667756f);
  return (high * s + (0.16666539f * r + 0.49999997f)) * s + r;
}
/* 2^r for |r| <= 1/2, relative error 2^-26 */
LIGHT V growth2(V r) {
  V s = r * r, high = (1.3332501e-4f * r + 1.3387927e-3f) * s + (9.625445e-3f * r + 0.055503663f);
  return (high * s + (0.24022594f * r + 0.6931472f)) * r + 1;
}
/* p 2^(n - 254) where the lowest nine bits of t are n. In two steps: the first is exact, the second rounds once, to a
   number below the normal ones if need be, or to infinity. */
LIGHT V scaled(V p, U t) {
  U half = (t >> 1) << 23, rest = (t << 23) - half;
  return p * (V)half * (V)rest;
}
/* vexp: 1.03 ulp. Where all lanes have |x| < 87, 2^n is a normal number. Both ways round with the same constant: with
   an odd and an even one, a number half way between two n would see its neighbours. Beyond [-104, 89], e^x is 0 or
   infinity, as at the ends. */
RARE V exp_any(V x) {
  V c = vclamp(x, all(-104), all(89)), t = c * LOG2E + (ROUNDER + 127), n = t - (ROUNDER + 127);
  return scaled(growth((c - n * LN2_HIGH) - n * LN2_LOW) + 1, (U)t + 127);
}
MATH V vexp(V x) {
  if (any(~(vabs(x) < all(87)))) return exp_any(x);
  V t = x * LOG2E + (ROUNDER + 127), n = t - (ROUNDER + 127);
  return (growth((x - n * LN2_HIGH) - n * LN2_LOW) + 1) * (V)((U)t << 23);
}
/* vexp2: 1.40 ulp, exact for whole x, where r is 0. */
RARE V exp2_any(V x) {
  V c = vclamp(x, all(-151), all(129)), t = c + (ROUNDER + 127);
  return scaled(growth2(c - (t - (ROUNDER + 127))), (U)t + 127);
}
MATH V vexp2(V x) {
  if (any(~(vabs(x) < all(126)))) return exp2_any(x);
  V t = x + (ROUNDER + 127);
  return growth2(x - (t - (ROUNDER + 127))) * (V)((U)t << 23);
}
/* vexpm1: 1.76 ulp. 2^n (e^r - 1) + (2^n - 1), and the sign for -0. */
MATH V vexpm1(V x) {
  V c = vclamp(x, all(-87), all(87)), t = c * LOG2E + (ROUNDER + 127), n = t - (ROUNDER + 127);
  V s = (V)((U)t << 23), r = with_sign(s * growth((c - n * LN2_HIGH) - n * LN2_LOW) + (s - 1), x);
  return any(x > all(87)) ? sel(x > all(87), exp_any(x), r) : r;
}
/* vsigmoid: 2.41 ulp. e / (1 + e) or 1 / (1 + e) with e = e^-|x|, all times 2^64, so that 2^n is a normal
   number. */
MATH V vsigmoid(V x) {
  V c = at_least(-vabs(x), all(-104)), t = c * LOG2E + (ROUNDER + 191), n = t - (ROUNDER + 191);
  V e = (growth((c - n * LN2_HIGH) - n * LN2_LOW) + 1) * (V)((U)t << 23);
  return sel(x < all(0), e, all(0x1p64f)) / (e + 0x1p64f);
}
/* vtanh: 2.61 ulp. E / (E + 2) with E = e^(2|x|) - 1, and the sign of x; from 10 on it is 1. */
MATH V vtanh(V x) {
  V c = at_most(vabs(x + x), all(20)), t = c * LOG2E + (ROUNDER + 127), n = t - (ROUNDER + 127);
  V s = (V)((U)t << 23), e = s * growth((c - n * LN2_HIGH) - n * LN2_LOW) + (s - 1);
  return with_sign(vabs(e / (e + 2)), x);
}

/* Logarithms: x = 2^k m with 0.707 < m < 1.415, so log(x) = k log(2) + log(m), and near x = 1 nothing cancels. */
#define SPLIT 0x3f3504f3u /* the bits of the root of 1/2 */
LIGHT N exponent(V x) { return (N)((U)x - SPLIT) >> 23; }
LIGHT V mantissa(V x, N k) { return (V)((U)x - ((U)k << 23)); }
LIGHT V real(N k) { return __builtin_convertvector(k, V); }
/* Zero, infinity, NaN, what is negative or below the normal numbers: two comparisons in one. */
LIGHT N special(V x) { return (N)((U)x + 0x7f800000u) >= bits(-0x01000000); }
/* log(1 + r) - r for such m = 1 + r; relative to log(1 + r) the error is 2^-24.8 */
LIGHT V bend(V r) {
  V s = r * r, low = (0.19962072f * r - 0.25001755f) * s + (0.3333395f * r - 0.4999999f);
  V high = (0.087348424f * r - 0.14307515f) * s + (0.14917971f * r - 0.16570508f);
  return (high * (s * s) + low) * s;
}
LIGHT V log_normal(V x) {
  N k = exponent(x);
  V e = real(k), r = mantissa(x, k) - 1;
  return e * LN2_HIGH + (r + (bend(r) + e * LN2_LOW));
}
/* log2(1 + r) = r + r times a polynomial, relative error 2^-25.7; 0 for r = 0, so that whole results are exact. */
LIGHT V log2_normal(V x) {
  N k = exponent(x);
  V r = mantissa(x, k) - 1, s = r * r;
  V low = (-0.36069664f * r + 0.48089823f) * s + (-0.72134733f * r + 0.44269505f);
  V high = (-0.109949276f * r + 0.18617475f) * s + (-0.19106278f * r + 0.20460066f);
  high = high * s + (-0.2396174f * r + 0.2885674f);
  return real(k) + (r + (high * (s * s) + low) * r);
}
/* From a logarithm y of x, or of 2^23 x where x is below the normal numbers, that of any x. */
#define TINY 0x1p-126f
LIGHT V enlarged(V x) { return sel(x < all(TINY), x * 0x1p23f, x); }
LIGHT V log_completed(V x, V y, REAL log_of_2_23) {
  y = sel(x < all(TINY), y - log_of_2_23, y);
  y = sel(x == all(0), all(-INFINITE), sel(x < all(0), all(NOTHING), y));
  return sel(x < all(INFINITE), y, x);
}
RARE V log_any(V x) { return log_completed(x, log_normal(enlarged(x)), 15.9423847f); }
RARE V log2_any(V x) { return log_completed(x, log2_normal(enlarged(x)), 23); }
/* vlog: 1.38 ulp; vlog2: 1.76 ulp, exact for powers of two */
MATH V vlog(V x) { return any(special(x)) ? log_any(x) : log_normal(x); }
MATH V vlog2(V x) { return any(special(x)) ? log2_any(x) : log2_normal(x); }
/* vlog1p: 1.87 ulp. As log, but r is 2^-k x + (2^-k - 1), which is rounded once; 1 + x itself only tells k. */
LIGHT V log1p_normal(V x) {
  N k = exponent(1 + x);
  V s = (V)(0x3f800000u - ((U)k << 23)), e = real(k), r = x * s + (s - 1);
  return with_sign(e * LN2_HIGH + (r + (bend(r) + e * LN2_LOW)), x); /* the sign for -0 */
}
RARE V log1p_any(V x) {
  V y = sel(x < all(0x1p100f), log1p_normal(x), log_any(x));
  y = sel(x == all(-1), all(-INFINITE), sel(x < all(-1), all(NOTHING), y));
  return sel(x == x, y, x);
}
MATH V vlog1p(V x) { return any(~((x > all(-1)) & (x < all(0x1p100f)))) ? log1p_any(x) : log1p_normal(x); }

/* vpow: 1.70 ulp. 2^(y log2(x)). What is a small error of log2(x) would be up to 150 times as large in the product and
   so in the result; so the logarithm and the product are computed in double lanes, all but its small terms. */
typedef double WIDE __attribute__((vector_size(128)));
typedef unsigned long long WORDS __attribute__((vector_size(128)));
LIGHT WIDE wide(V x) { return __builtin_convertvector(x, WIDE); }
/* 2^(y (log2(x) + more)) for normal x > 0 */
LIGHT V raised(V x, V y, V more) {
  N k = exponent(x);
  V f = mantissa(x, k) - 1, s = f * f;
  /* log2(1 + f), relative error 2^-34: the terms from f^5 on */
  V high = (0.07737033f * s + (-0.14283922f * f + 0.1447484f)) * s + (-0.14315647f * f + 0.15876982f);
  high = (high * s + (-0.18030061f * f + 0.20617536f)) * s + (-0.24045317f * f + 0.2885373f);
  WIDE r = wide(f), z = r * r, low = -0.7213475208687299 * r + 1.4426950408687058;
  WIDE l = (wide(high) * z + (-0.3606736748307284 * r + 0.48089836139553993)) * z + low;
  WIDE t = wide(y) * ((l * r + __builtin_convertvector(k, WIDE)) + wide(more));
  WIDE least = (WIDE){} - 151, most = (WIDE){} + 129; /* beyond, the result is 0 or infinity */
  WORDS m = (WORDS)(t < least);
  t = (WIDE)((m & (WORDS)least) | (~m & (WORDS)t));
  m = (WORDS)(t > most);
  t = (WIDE)((m & (WORDS)most) | (~m & (WORDS)t));
  WIDE n = t + (0x1.8p52 + 254); /* as with ROUNDER */
  V rest = __builtin_convertvector(t - (n - (0x1.8p52 + 254)), V);
  return scaled(growth2(rest), __builtin_convertvector((WORDS)n, U));
}
RARE V pow_any(V x, V y) {
  V a = vabs(x), more = sel(a < all(TINY), all(-23), all(0));
  more = sel(a == all(0), all(-INFINITE), sel(a == all(INFINITE), a, more));
  V p = raised(enlarged(a), y, more);
  p = sel(a == all(1), all(1), p); /* to the power of infinity */
  N whole = vfloor(y) == y, odd = whole & (vfloor(y * 0.5f) != y * 0.5f);
  p = (V)((N)p | (odd & (N)x & ~bits(ABSOLUTE)));
  p = sel((x < all(0)) & ~whole & (a < all(INFINITE)), all(NOTHING), p);
  p = sel((x == x) & (y == y), p, all(NOTHING));
  return sel((x == all(1)) | (y == all(0)), all(1), p);
}
MATH V vpow(V x, V y) {
  if (any(special(x) | ~(vabs(y) < all(INFINITE)))) return pow_any(x, y);
  return raised(x, y, all(-0.0f));
}

/* vsin: 1.59 ulp; vcos: 1.60 ulp. |x| = n pi/2 + r with |r| <= pi/4; n mod 4 tells which of the two it is, and its
   sign. */
#define PI_2_HIGH 1.5707963267341256 /* to 33 bits, so that n times it is exact in double lanes */
#define PI_2_LOW 6.077100506506192e-11
/* sin(r + q pi/2), relative errors 2^-27.7 and 2^-32.6 */
LIGHT V quarter(V r, U q) {
  V z = r * r, y = z * z;
  V s = (-1.9505146e-4f * y + (8.332093e-3f * z - 0.16666654f)) * (z * r) + r;
  V c = (2.4412086e-5f * y + (0.04166664f - 1.388713e-3f * z)) * y + (1 - 0.5f * z);
  return (V)((U)sel((N)(q << 31) < bits(0), c, s) ^ ((q & 2) << 30));
}
/* From 2^17 on: the mantissa times those 96 binary digits of 2/pi that do not make whole turns (Payne, Hanek 1983). */
static const unsigned two_over_pi[8] __attribute__((unused)) = {
    0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};
RARE V turn_any(V x, unsigned add) {
  typedef unsigned long long L;
  V a = vabs(x), r = x;
  U q = (U){};
  for (int l = 0; l < 16; l++) {
    unsigned word = ((U)a)[l], first = (word >> 23) - 120;
    if (word < 0x48000000u) { /* less than 2^17: as in turn() */
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
  WIDE n = wide(t - ROUNDER);
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
