/* data/synth/geometry.c - concepts of geometry, most of them with coordinates. See math.h. */
#include "data/synth/math.h"

/* Legs of a right triangle with whole sides, k(m^2 - n^2) and 2kmn, from the three numbers drawn. */
static bool adjust_hypotenuse(struct draw *r, int64_t *p, bool given)
{
    (void)given;
    int64_t m = p[0], n = draw_between(r, 1, m - 1), k = p[1];
    p[0] = k * (m * m - n * n);
    p[1] = k * 2 * m * n;
    return true;
}
static struct ratio solve_hypotenuse(struct text *w, const int64_t *p)
{
    int64_t sum = p[0] * p[0] + p[1] * p[1], v = p[0] > p[1] ? p[0] : p[1];
    while (v * v < sum)
        v++;
    put(w, "%ld^2 + %ld^2 = %ld + %ld = %ld\n%ld = %ld^2\n", p[0], p[1], p[0] * p[0], p[1] * p[1], sum, sum, v);
    return math_whole(v);
}
static struct ratio solve_diagonals(struct text *w, const int64_t *p)
{
    put(w, "%ld*%ld = %ld\nhalf of it: %ld\n", p[0], p[0] - 3, p[0] * (p[0] - 3), p[0] * (p[0] - 3) / 2);
    return math_whole(p[0] * (p[0] - 3) / 2);
}
static struct ratio solve_angles(struct text *w, const int64_t *p)
{
    put(w, "%ld triangles\n%ld*180 = %ld\n", p[0] - 2, p[0] - 2, (p[0] - 2) * 180);
    return math_whole((p[0] - 2) * 180);
}
static bool adjust_rectangle(struct draw *r, int64_t *p, bool given)
{
    if (!given)
        p[0] *= 2;
    if (p[0] % 2)
        return false;
    p[1] = draw_between(r, 1, p[0] / 2 - 1);
    return true;
}
static struct ratio solve_rectangle(struct text *w, const int64_t *p)
{
    int64_t other = p[0] / 2 - p[1];
    put(w, "other side %ld/2 - %ld = %ld\n%ld*%ld = %ld\n", p[0], p[1], other, p[1], other, p[1] * other);
    return math_whole(p[1] * other);
}
static bool adjust_triangle(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    (void)given;
    return p[0] * p[3] != p[1] * p[2];
}
static struct ratio solve_triangle(struct text *w, const int64_t *p)
{
    int64_t a = p[0] * p[3], b = p[1] * p[2], v = a > b ? a - b : b - a;
    put(w, "%ld*%ld = %ld\n%ld*%ld = %ld\ndifference %ld\n", p[0], p[3], a, p[1], p[2], b, v);
    return math_whole(v);
}
static struct ratio solve_box(struct text *w, const int64_t *p)
{
    int64_t half = p[0] * p[1] + p[0] * p[2] + p[1] * p[2];
    put(w, "%ld + %ld + %ld = %ld\ntwice: %ld\n", p[0] * p[1], p[0] * p[2], p[1] * p[2], half, 2 * half);
    return math_whole(2 * half);
}
static struct ratio solve_lattice(struct text *w, const int64_t *p)
{
    int64_t g = math_gcd(p[0], p[1]);
    put(w, "the greatest common divisor of %ld and %ld is %ld\n%ld+1 = %ld\n", p[0], p[1], g, g, g + 1);
    return math_whole(g + 1);
}
static struct ratio solve_distance(struct text *w, const int64_t *p)
{
    int64_t x = p[2] - p[0], y = p[3] - p[1];
    put(w, "%ld-%ld = %ld\n%ld-%ld = %ld\n%ld + %ld = %ld\n", p[2], p[0], x, p[3], p[1], y, x * x, y * y, x * x + y * y);
    return math_whole(x * x + y * y);
}
static struct ratio solve_regions(struct text *w, const int64_t *p)
{
    int64_t pairs = p[0] * (p[0] - 1) / 2;
    put(w, "1 + %ld lines + %ld crossings = %ld\n", p[0], pairs, 1 + p[0] + pairs);
    return math_whole(1 + p[0] + pairs);
}

const struct math_concept math_geometry[] = {
    {.name = "hypotenuse",
     .phrase = {"the length of the hypotenuse of a right triangle with legs $a and $b"},
     .plan = "use Pythagoras",
     .range = {{2, {4, 8, 20}}, {1, {3, 9, 30}}},
     .adjust = adjust_hypotenuse,
     .solve = solve_hypotenuse},
    {.name = "diagonals",
     .phrase = {"the number of diagonals of a convex polygon with $a sides"},
     .plan = "join every corner to those that are no neighbours",
     .range = {{4, {12, 60, 900}}},
     .most = 100000,
     .solve = solve_diagonals},
    {.name = "angles of a polygon",
     .phrase = {"the sum in degrees of the interior angles of a polygon with $a sides"},
     .plan = "cut it into triangles",
     .range = {{3, {12, 60, 900}}},
     .most = 100000,
     .solve = solve_angles},
    {.name = "area from a perimeter",
     .phrase = {"the area of a rectangle with perimeter $a and a side of length $b"},
     .plan = "find the other side first",
     .range = {{3, {12, 60, 400}}, {1, {1, 1, 1}}},
     .most = 10000,
     .adjust = adjust_rectangle,
     .solve = solve_rectangle},
    {.name = "area of a triangle",
     .phrase = {"twice the area of the triangle with corners (0, 0), ($a, $b) and ($c, $d)"},
     .plan = "take the difference of the crosswise products",
     .range = {{1, {9, 30, 200}}, {1, {9, 30, 200}}, {1, {9, 30, 200}}, {1, {9, 30, 200}}},
     .most = 10000,
     .adjust = adjust_triangle,
     .solve = solve_triangle},
    {.name = "surface of a box",
     .phrase = {"the surface area of a box with edges $a, $b and $c"},
     .plan = "add the three kinds of faces twice",
     .range = {{1, {6, 20, 90}}, {1, {6, 20, 90}}, {1, {6, 20, 90}}},
     .most = 10000,
     .solve = solve_box},
    {.name = "points on a segment",
     .phrase = {"the number of points with integer coordinates on the segment from (0, 0) to ($a, $b)"},
     .plan = "the steps between them are the greatest common divisor",
     .range = {{2, {20, 100, 900}}, {2, {20, 100, 900}}},
     .most = 100000,
     .solve = solve_lattice},
    {.name = "distance of points",
     .phrase = {"the square of the distance between the points ($a, $b) and ($c, $d)"},
     .plan = "use Pythagoras on the differences",
     .range = {{0, {9, 30, 200}}, {0, {9, 30, 200}}, {0, {9, 30, 200}}, {0, {9, 30, 200}}},
     .most = 2000,
     .solve = solve_distance},
    {.name = "regions of the plane",
     .phrase = {"the largest number of regions into which $a lines cut the plane"},
     .plan = "count the lines and their crossings",
     .range = {{2, {12, 60, 900}}},
     .most = 100000,
     .solve = solve_regions},
    {.name = NULL},
};
