/* tests/ref_model.h - the whole language model in double precision, put together from the references of the ops: logits and loss. Its
 * gradients come from central differences (ref_gradient), so no backward is written twice. */
#ifndef TESTS_REF_MODEL_H
#define TESTS_REF_MODEL_H
#include "model/config.h"
#include "model/params.h"

struct ref_model {
    struct model_config c;
    const struct param_table *table;
    double **w; /* [table->n] the numbers of each parameter */
};
/* Normal numbers of sensible sizes for every kind of weight, none at a special value; from the random stream `stream`. */
void ref_model_open(struct ref_model *m, const struct model_config *c, const struct param_table *table, uint64_t stream);
void ref_model_close(struct ref_model *m);
/* A document after some of its tokens: of every layer the convolution's last K-1 inputs [K-1, C] and the SSD state [H, P, N]. */
struct ref_state {
    double **conv, **ssd; /* [layers] */
    int32_t layers;
};
void ref_state_open(struct ref_state *s, const struct ref_model *m); /* after none */
void ref_state_close(struct ref_state *s);
/* One more token: hidden [D] after the last norm and logits [V]. */
void ref_model_step(double *hidden, double *logits, const struct ref_model *m, struct ref_state *s, int32_t id);
/* logits [T, V] of n documents of len[] tokens. */
void ref_model_logits(double *logits, const struct ref_model *m, const int32_t *ids, const int32_t *len, int32_t n);
/* Sum over the tokens of weight * -log p(target); target below 0: none. */
double ref_model_loss(const struct ref_model *m, const int32_t *ids, const int32_t *target, const double *weight, const int32_t *len,
                      int32_t n);
#endif
