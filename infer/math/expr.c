/* infer/math/expr.c - the pool of trees, and their nodes. See expr.h. */
#include "infer/math/parse.h"
#include "core/err.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct math_block {
    struct math_block *next;
    size_t used, size;
    _Alignas(16) char data[];
};

void *math_alloc(struct math *m, size_t n)
{
    n = (n + 15) & ~(size_t)15;
    if (!m->block || m->block->size - m->block->used < n) {
        size_t size = n > 16384 ? n : 16384;
        struct math_block *b = xmalloc(sizeof(*b) + size);
        *b = (struct math_block){.next = m->block, .size = size};
        m->block = b;
    }
    void *p = m->block->data + m->block->used;
    m->block->used += n;
    return memset(p, 0, n);
}

void math_free(struct math *m)
{
    for (struct math_block *b = m->block, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *m = (struct math){0};
}

struct math_node *math_new(struct math *m, enum math_op op, int n, ...)
{
    struct math_node *x = math_alloc(m, sizeof(*x));
    x->op = op;
    x->n = n;
    x->kid = n ? math_alloc(m, (size_t)n * sizeof(struct math_node *)) : NULL;
    va_list args;
    va_start(args, n);
    for (int i = 0; i < n; i++)
        x->kid[i] = va_arg(args, struct math_node *);
    va_end(args);
    return x;
}

struct math_node *math_grow(struct math *m, struct math_node *x, struct math_node *kid)
{
    if ((x->n & (x->n - 1)) == 0) {
        struct math_node **more = math_alloc(m, (size_t)(x->n ? 2 * x->n : 1) * sizeof(*more));
        if (x->n)
            memcpy(more, x->kid, (size_t)x->n * sizeof(*more));
        x->kid = more;
    }
    x->kid[x->n++] = kid;
    return x;
}

struct math_node *math_leaf(struct math *m, enum math_op op, const char *name)
{
    struct math_node *x = math_new(m, op, 0);
    x->name = name;
    return x;
}

bool math_is_whole(const struct math_node *x)
{
    return x->op == MATH_NUM && !strpbrk(x->name, ".(") && !x->base && !x->paren;
}
