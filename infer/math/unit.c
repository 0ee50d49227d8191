/* infer/math/unit.c - see unit.h. */
#include "infer/math/unit.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *names; /* a blank before and after each; a plural's s is taken off first */
    int dimension, power;
    unsigned long over, under;
} table[] = {
    {" m meter metre ", UNIT_LENGTH, 1, 1, 1},
    {" cm centimeter centimetre ", UNIT_LENGTH, 1, 1, 100},
    {" mm millimeter millimetre ", UNIT_LENGTH, 1, 1, 1000},
    {" km kilometer kilometre ", UNIT_LENGTH, 1, 1000, 1},
    {" inch inche ", UNIT_LENGTH, 1, 254, 10000},
    {" ft foot feet ", UNIT_LENGTH, 1, 3048, 10000},
    {" yd yard ", UNIT_LENGTH, 1, 9144, 10000},
    {" mi mile ", UNIT_LENGTH, 1, 1609344, 1000},
    {" l liter litre ", UNIT_LENGTH, 3, 1, 1000},
    {" ml milliliter millilitre ", UNIT_LENGTH, 3, 1, 1000000},
    {" s sec second ", UNIT_TIME, 1, 1, 1},
    {" min minute ", UNIT_TIME, 1, 60, 1},
    {" h hr hour ", UNIT_TIME, 1, 3600, 1},
    {" day ", UNIT_TIME, 1, 86400, 1},
    {" week ", UNIT_TIME, 1, 604800, 1},
    {" g gram ", UNIT_MASS, 1, 1, 1},
    {" kg kilogram ", UNIT_MASS, 1, 1000, 1},
    {" mg milligram ", UNIT_MASS, 1, 1, 1000},
    {" lb pound ", UNIT_MASS, 1, 45359237, 100000},
    {" cent ", UNIT_MONEY, 1, 1, 1},
    {" dollar buck usd ", UNIT_MONEY, 1, 100, 1},
    {" degree deg ", UNIT_ANGLE, 1, 1, 1},
};

static bool among(const char *names, const char *s, size_t n)
{
    for (const char *at = names; (at = strchr(at, ' ')) && at[1]; at++)
        if (strncasecmp(at + 1, s, n) == 0 && at[1 + n] == ' ')
            return true;
    return false;
}

static bool times(struct math_unit *u, const char *word, size_t n, int power)
{
    static const struct {
        const char *word, *means;
    } speeds[] = {{"mph", "mile/hour"}, {"kph", "km/hour"}, {"kmh", "km/hour"}};
    for (int i = 0; i < 3; i++)
        if (n == 3 && strncasecmp(word, speeds[i].word, 3) == 0) {
            struct math_unit v;
            if (power != 1 || !math_unit_read(&v, speeds[i].means))
                return false;
            for (int d = 0; d < UNIT_DIMENSIONS; d++)
                u->power[d] += v.power[d];
            u->over *= v.over;
            u->under *= v.under;
            return true;
        }
    size_t single = n > 2 && (word[n - 1] == 's' || word[n - 1] == 'S') ? n - 1 : n;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (!among(table[i].names, word, n) && !among(table[i].names, word, single))
            continue;
        u->power[table[i].dimension] += power * table[i].power;
        for (int k = abs(power); k > 0; k--) {
            unsigned long a = power > 0 ? table[i].over : table[i].under, b = power > 0 ? table[i].under : table[i].over;
            if (__builtin_mul_overflow(u->over, a, &u->over) || __builtin_mul_overflow(u->under, b, &u->under))
                return false;
        }
        return true;
    }
    return false;
}

bool math_unit_read(struct math_unit *u, const char *s)
{
    *u = (struct math_unit){.over = 1, .under = 1};
    int sign = 1, square = 1;
    while (*s) {
        if (*s == ' ') {
            s++;
            continue;
        }
        if (*s == '/') {
            sign = -1;
            s++;
            continue;
        }
        size_t n = strcspn(s, " /^");
        if ((n == 6 && strncasecmp(s, "square", 6) == 0) || (n == 2 && strncasecmp(s, "sq", 2) == 0) ||
            (n == 7 && strncasecmp(s, "squared", 7) == 0)) {
            square = 2;
            s += n;
            continue;
        }
        if (n == 5 && strncasecmp(s, "cubic", 5) == 0) {
            square = 3;
            s += n;
            continue;
        }
        int power = square;
        const char *word = s;
        s += n;
        if (*s == '^') {
            char *end;
            long p = strtol(s + 1, &end, 10);
            if (p < -9 || p > 9 || p == 0)
                return false;
            power = (int)p;
            s = end;
        }
        if (n == 0 || !times(u, word, n, sign * power))
            return false;
        square = 1;
    }
    return square == 1;
}

bool math_unit_alike(const struct math_unit *a, const struct math_unit *b)
{
    return memcmp(a->power, b->power, sizeof(a->power)) == 0;
}
